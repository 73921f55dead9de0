// A manifest with another magic number.
#include "variants/api/plugin.h"

static void add_nothing(attnlab::Registry&) {}

extern "C" __attribute__((visibility("default"))) const AttnlabPluginManifest* attnlab_plugin_v1() {
  static const AttnlabPluginManifest manifest = {0xdeadbeefu,
                                                 sizeof(AttnlabPluginManifest),
                                                 ATTNLAB_PLUGIN_API_VERSION,
                                                 0,
                                                 ATTNLAB_TORCH_VERSION,
                                                 ATTNLAB_COMPILER_ABI,
                                                 "wrong_magic",
                                                 &add_nothing};
  return &manifest;
}
