// A manifest of a later plugin API.
#include "variants/api/plugin.h"

static void add_nothing(attnlab::Registry&) {}

extern "C" __attribute__((visibility("default"))) const AttnlabPluginManifest* attnlab_plugin_v1() {
  static const AttnlabPluginManifest manifest = {ATTNLAB_PLUGIN_MAGIC,
                                                 sizeof(AttnlabPluginManifest),
                                                 ATTNLAB_PLUGIN_API_VERSION + 1,
                                                 0,
                                                 ATTNLAB_TORCH_VERSION,
                                                 ATTNLAB_COMPILER_ABI,
                                                 "wrong_api",
                                                 &add_nothing};
  return &manifest;
}
