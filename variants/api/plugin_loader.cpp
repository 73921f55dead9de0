#include "variants/api/plugin_loader.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <exception>

#include "kernels/core/error.h"
#include "variants/api/plugin.h"

namespace attnlab {
namespace {

constexpr const char* kEntrySymbol = "attnlab_plugin_v1";

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& cause) {
  throw PluginError(fmt::format("[plugin] {} cannot be loaded: {}", path.string(), cause));
}

std::string last_dl_error() {
  const char* text = dlerror();  // a second call would return null
  return text != nullptr ? text : "unknown cause";
}

std::filesystem::path resolved(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (error)
    refuse(path, fmt::format("{}. Give the path of an existing .so file.", error.message()));
  if (!std::filesystem::is_regular_file(real)) refuse(path, "it is not a file.");
  return real;
}

std::string text_or_null(const char* text) { return text != nullptr ? text : "(none)"; }

void check_manifest(const std::filesystem::path& path, const AttnlabPluginManifest& manifest) {
  if (manifest.magic != ATTNLAB_PLUGIN_MAGIC) {
    refuse(path, fmt::format("its manifest has magic {:#x} instead of {:#x}; write the entry with "
                             "ATTNLAB_PLUGIN of variants/api/plugin.h.",
                             manifest.magic, ATTNLAB_PLUGIN_MAGIC));
  }
  if (manifest.api_version != ATTNLAB_PLUGIN_API_VERSION ||
      manifest.struct_size != sizeof(AttnlabPluginManifest)) {
    refuse(path, fmt::format("it was built for plugin API {} ({} bytes), this attnlab has {} ({} "
                             "bytes). Build it again against this version.",
                             manifest.api_version, manifest.struct_size, ATTNLAB_PLUGIN_API_VERSION,
                             sizeof(AttnlabPluginManifest)));
  }
  if (text_or_null(manifest.torch_version) != ATTNLAB_TORCH_VERSION) {
    refuse(path,
           fmt::format("it was built with Torch {}, this attnlab with {}. Build it again with "
                       "the same Torch.",
                       text_or_null(manifest.torch_version), ATTNLAB_TORCH_VERSION));
  }
  if (text_or_null(manifest.compiler_abi) != ATTNLAB_COMPILER_ABI) {
    refuse(path,
           fmt::format("its compiler ABI is '{}', this attnlab's '{}'. Build it with the same "
                       "compiler.",
                       text_or_null(manifest.compiler_abi), ATTNLAB_COMPILER_ABI));
  }
  if (manifest.register_variants == nullptr) refuse(path, "its manifest registers nothing.");
}

}  // namespace

LoadedPlugin load_plugin(const std::filesystem::path& path, Registry& registry) {
  const std::filesystem::path real = resolved(path);
  dlerror();
  // Never closed: objects made from the plugin's code may live until the process ends.
  void* library = dlopen(real.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) refuse(real, last_dl_error() + ".");
  void* symbol = dlsym(library, kEntrySymbol);
  if (symbol == nullptr) {
    refuse(real, fmt::format("it does not export '{}'. Write the entry with ATTNLAB_PLUGIN of "
                             "variants/api/plugin.h.",
                             kEntrySymbol));
  }
  const AttnlabPluginManifest* manifest = reinterpret_cast<AttnlabPluginEntry>(symbol)();
  if (manifest == nullptr) refuse(real, "its entry returned no manifest.");
  check_manifest(real, *manifest);

  Registry candidate;  // all or none: nothing reaches `registry` before everything went well
  try {
    manifest->register_variants(candidate);
  } catch (const std::exception& error) {
    refuse(real, fmt::format("registering its variants failed: {}", error.what()));
  }
  if (candidate.names().empty()) refuse(real, "it registers no variant.");
  for (const std::string& name : candidate.names()) {
    if (registry.contains(name)) {
      refuse(real, fmt::format("its variant '{}' is already there, from {}. Rename one of them.",
                               name, registry.entry(name).origin));
    }
  }
  for (const std::string& name : candidate.names()) {
    Registry::Entry entry = candidate.entry(name);
    entry.origin = real.string();
    registry.add(std::move(entry));
  }
  return {text_or_null(manifest->name), real};
}

}  // namespace attnlab
