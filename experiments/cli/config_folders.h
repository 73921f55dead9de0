// Where configs are searched, and what the words of a command line ask to be composed. No Torch.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/cli/arguments.h"
#include "experiments/config/compose.h"

namespace attnlab::cli {

/// The folder of --config-dir, if given, then the project's configs/. Throws ConfigError where the
/// given one is no folder.
std::vector<std::filesystem::path> config_dirs(const Arguments& arguments);

/// The folders with YAML files below the config folders, as group names: "shape", "task/text".
/// What may not be read is left out.
std::vector<std::string> group_names(const std::vector<std::filesystem::path>& dirs);

/// What `run` composes: the project's configs, with the user's own before them. Throws ConfigError.
config::ComposeRequest run_request(const Arguments& arguments);

/// What `compose` composes: a tree of the user's own stands for itself; without one, it is the
/// project's. Throws ConfigError.
config::ComposeRequest compose_request(const Arguments& arguments);

}  // namespace attnlab::cli
