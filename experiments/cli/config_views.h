// What `run` and `compose` print about a composition instead of using it.
#pragma once

#include <string>
#include <vector>

#include "experiments/cli/arguments.h"
#include "experiments/config/compose.h"

namespace attnlab::cli {

/// The composed config of each job as YAML, one document per job; of `package` only, under Hydra's
/// header for it, where one is given. Throws ConfigError for a package that a job has not.
std::string config_documents(const std::vector<config::Job>& jobs, const std::string& package = "");

/// A line per merged config, in the order of merging, with its package; indented by depth as a
/// tree.
std::string defaults_text(const config::ComposeRequest& request, bool as_tree);

/// "file:line:col: key=value" for the value of `key` in each job, equal lines once; for a map a
/// line per value in it. Throws ConfigError for a key that no job has, naming the nearest.
std::string explanation(const std::vector<config::Job>& jobs, const std::string& key);

/// What --info or --explain-key ask for, else the config. Throws ConfigError.
std::string config_view(const Arguments& arguments, const config::ComposeRequest& request);

}  // namespace attnlab::cli
