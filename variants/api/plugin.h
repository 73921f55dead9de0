// The C entry that a variant in a shared library exports, and the macro that writes it.
//
// The host first reads the manifest (plain data) and compares magic, API version, Torch version and
// compiler ABI with its own; only then it calls `register_variants`. A loaded plugin is never
// closed.
#pragma once

#include <torch/headeronly/version.h>

#include <cstdint>

#include "variants/api/registry.h"

#define ATTNLAB_PLUGIN_MAGIC 0x61747470u  // "attp"
#define ATTNLAB_PLUGIN_API_VERSION 2u

extern "C" {

/// First four fields keep place and meaning for ever, so that any host can refuse any plugin.
struct AttnlabPluginManifest {
  std::uint32_t magic;
  std::uint32_t struct_size;
  std::uint32_t api_version;
  std::uint32_t reserved;
  const char* torch_version;  ///< "2.11.0"
  const char* compiler_abi;   ///< see ATTNLAB_COMPILER_ABI
  const char* name;           ///< for messages
  /// Adds variants; may throw attnlab::Error.
  void (*register_variants)(attnlab::Registry& registry);
};

/// The symbol that the host looks up.
using AttnlabPluginEntry = const AttnlabPluginManifest* (*)();
}

#define ATTNLAB_STRINGIFY_(x) #x
#define ATTNLAB_STRINGIFY(x) ATTNLAB_STRINGIFY_(x)

/// What must agree for C++ objects to cross the border: the C++ ABI version and libstdc++'s string.
#define ATTNLAB_COMPILER_ABI                                                       \
  "gxx_abi=" ATTNLAB_STRINGIFY(__GXX_ABI_VERSION) " cxx11_abi=" ATTNLAB_STRINGIFY( \
      _GLIBCXX_USE_CXX11_ABI)

#define ATTNLAB_TORCH_VERSION            \
  ATTNLAB_STRINGIFY(TORCH_VERSION_MAJOR) \
  "." ATTNLAB_STRINGIFY(TORCH_VERSION_MINOR) "." ATTNLAB_STRINGIFY(TORCH_VERSION_PATCH)

/// ATTNLAB_PLUGIN(my_plugin, registry) { registry.add({...}); }
#define ATTNLAB_PLUGIN(plugin_name, registry_argument)                            \
  static void attnlab_plugin_register(attnlab::Registry& registry_argument);      \
  extern "C" __attribute__((visibility("default"))) const AttnlabPluginManifest*  \
  attnlab_plugin_v1() {                                                           \
    static const AttnlabPluginManifest manifest = {ATTNLAB_PLUGIN_MAGIC,          \
                                                   sizeof(AttnlabPluginManifest), \
                                                   ATTNLAB_PLUGIN_API_VERSION,    \
                                                   0,                             \
                                                   ATTNLAB_TORCH_VERSION,         \
                                                   ATTNLAB_COMPILER_ABI,          \
                                                   #plugin_name,                  \
                                                   &attnlab_plugin_register};     \
    return &manifest;                                                             \
  }                                                                               \
  static void attnlab_plugin_register(attnlab::Registry& registry_argument)
