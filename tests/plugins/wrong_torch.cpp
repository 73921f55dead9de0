// A plugin that was built with another Torch.
#include "variants/api/plugin.h"

static void add_nothing(attnlab::Registry&) {}

extern "C" __attribute__((visibility("default"))) const AttnlabPluginManifest* attnlab_plugin_v1() {
  static const AttnlabPluginManifest manifest = {ATTNLAB_PLUGIN_MAGIC,
                                                 sizeof(AttnlabPluginManifest),
                                                 ATTNLAB_PLUGIN_API_VERSION,
                                                 0,
                                                 "1.13.1",
                                                 ATTNLAB_COMPILER_ABI,
                                                 "wrong_torch",
                                                 &add_nothing};
  return &manifest;
}
