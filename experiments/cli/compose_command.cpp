#include "experiments/cli/compose_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "experiments/cli/context.h"
#include "experiments/cli/output.h"
#include "experiments/config/compose.h"
#include "experiments/config/emit_yaml.h"
#include "experiments/config/suggest.h"
#include "kernels/core/error.h"

namespace attnlab::cli {
namespace {

config::ComposeRequest request_of(const Arguments& arguments) {
  config::ComposeRequest request;
  // A tree of the user's own stands for itself; without one, it is the project's.
  if (arguments.config_dir.empty()) {
    request.config_dirs = config_dirs(arguments);
  } else {
    request.config_dirs = {config_dirs(arguments).front()};
  }
  if (!arguments.config_name.empty()) request.config_name = arguments.config_name;
  request.overrides = arguments.words;
  request.schema_free = true;
  return request;
}

std::string documents(const std::vector<config::Job>& jobs) {
  std::string text;
  for (const config::Job& job : jobs) {
    if (jobs.size() > 1) text += "---\n";
    text += config::emit_yaml(job.config);
  }
  return text;
}

/// A line per merged config, in the order of merging; indented by depth for the tree.
std::string defaults_text(const config::ComposeRequest& request, bool as_tree) {
  std::string text;
  std::size_t width = 0;
  const std::vector<config::MergedConfig> merged = config::merged_configs(request);
  for (const config::MergedConfig& each : merged) width = std::max(width, each.config.size());
  for (const config::MergedConfig& each : merged) {
    const std::string package = each.package.empty() ? "_global_" : each.package;
    text += as_tree ? fmt::format("{:{}}{} @ {}\n", "", 2 * (each.depth - 1), each.config, package)
                    : fmt::format("{:{}}  {}\n", each.config, width, package);
  }
  return text;
}

/// "file:line:col: value" in each job.
std::string explanation(const std::vector<config::Job>& jobs, const std::string& key) {
  std::string text;
  for (const config::Job& job : jobs) {
    const config::Tree* node = job.config.find_path(key);
    if (node == nullptr) {
      throw ConfigError(fmt::format("[config] there is no key '{}'.{}", key,
                                    config::suggest_path(key, config::all_paths(job.config))));
    }
    text +=
        fmt::format("{}: {}={}\n", node->position().to_string(), key, config::override_text(*node));
  }
  return text;
}

}  // namespace

int compose_command(const Arguments& arguments) {
  const config::ComposeRequest request = request_of(arguments);
  if (arguments.info == "defaults" || arguments.info == "defaults-tree") {
    write_stdout(defaults_text(request, arguments.info == "defaults-tree"));
    return 0;
  }
  const std::vector<config::Job> jobs = config::compose(request);
  write_stdout(arguments.explain_key.empty() ? documents(jobs)
                                             : explanation(jobs, arguments.explain_key));
  return 0;
}

}  // namespace attnlab::cli
