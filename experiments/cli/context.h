// What the commands share: the composed jobs, and the registry with its plugins.
#pragma once

#include <string>
#include <vector>

#include "experiments/cli/arguments.h"
#include "experiments/cli/config_folders.h"
#include "experiments/config/compose.h"
#include "variants/api/plugin_loader.h"
#include "variants/api/registry.h"

namespace attnlab::cli {

/// Composes the words of `run`: one job per grid point. Throws ConfigError.
std::vector<config::Job> compose_jobs(const Arguments& arguments);

/// The built-in variants, then those of each plugin in order; a path given twice is loaded once.
/// Relative paths start from the current directory. Throws PluginError.
struct LoadedRegistry {
  Registry registry;
  std::vector<LoadedPlugin> plugins;
};
LoadedRegistry load_registry(const std::vector<std::string>& plugin_paths);

/// The paths of --plugin, then those of the config's `plugins:` list, made absolute.
std::vector<std::string> plugin_paths(const Arguments& arguments,
                                      const std::vector<config::Job>& jobs);

}  // namespace attnlab::cli
