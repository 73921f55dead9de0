// A plugin that was built by another compiler.
#include "variants/api/plugin.h"

static void add_nothing(attnlab::Registry&) {}

extern "C" __attribute__((visibility("default"))) const AttnlabPluginManifest* attnlab_plugin_v1() {
  static const AttnlabPluginManifest manifest = {ATTNLAB_PLUGIN_MAGIC,
                                                 sizeof(AttnlabPluginManifest),
                                                 ATTNLAB_PLUGIN_API_VERSION,
                                                 0,
                                                 ATTNLAB_TORCH_VERSION,
                                                 "gxx_abi=1 cxx11_abi=0",
                                                 "wrong_abi",
                                                 &add_nothing};
  return &manifest;
}
