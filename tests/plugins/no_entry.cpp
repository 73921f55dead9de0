// A shared library that is no plugin: exports nothing that attnlab looks for.
extern "C" __attribute__((visibility("default"))) int something_else() { return 1; }
