// Loads variants from shared libraries (see plugin.h).
#pragma once

#include <filesystem>
#include <string>

#include "variants/api/registry.h"

namespace attnlab {

/// What was loaded, for environment.json.
struct LoadedPlugin {
  std::string name;
  std::filesystem::path path;  ///< absolute, links resolved
};

/// Opens `path`, checks the manifest, then adds its variants to `registry` (all of them or none).
/// Throws PluginError with path and cause for anything that does not fit: no such file, not a
/// shared library, missing symbol, another magic, API version, Torch version or compiler ABI, a
/// duplicate variant name, an exception from the plugin's code. The library is never closed.
LoadedPlugin load_plugin(const std::filesystem::path& path, Registry& registry);

}  // namespace attnlab
