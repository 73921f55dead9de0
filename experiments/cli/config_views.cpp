#include "experiments/cli/config_views.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "experiments/config/emit_yaml.h"
#include "experiments/config/suggest.h"
#include "kernels/core/error.h"

namespace attnlab::cli {
namespace {

/// Adds the lines of a value: its own, or those of everything below a map.
void explain_value(const std::string& key, const config::Tree& node, std::set<std::string>& seen,
                   std::string& text) {
  if (node.is_map() && !node.entries().empty()) {
    for (const auto& [name, value] : node.entries()) {
      explain_value(config::join_path(key, name), value, seen, text);
    }
    return;
  }
  const std::string line =
      fmt::format("{}: {}={}\n", node.position().to_string(), key, config::override_text(node));
  if (seen.insert(line).second) text += line;
}

[[noreturn]] void fail_unknown(const std::string& key, const config::Job& job) {
  throw ConfigError(fmt::format("[config] there is no key '{}'.{} All keys: --info config.", key,
                                config::suggest_path(key, config::all_paths(job.config))));
}

/// A part of a config that can be composed again as it stands.
std::string package_document(const config::Job& job, const std::string& package) {
  const config::Tree* part = job.config.find_path(package);
  if (part == nullptr) fail_unknown(package, job);
  if (part->is_map() || part->is_list()) {
    return fmt::format("# @package {}\n{}", package, config::emit_yaml(*part));
  }
  throw ConfigError(
      fmt::format("[config] '{}' is no part of the config but a value, {}. Name what holds it.",
                  package, config::override_text(*part)));
}

}  // namespace

std::string config_documents(const std::vector<config::Job>& jobs, const std::string& package) {
  std::string text;
  for (const config::Job& job : jobs) {
    if (jobs.size() > 1) text += "---\n";
    text += package.empty() ? config::emit_yaml(job.config) : package_document(job, package);
  }
  return text;
}

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

std::string explanation(const std::vector<config::Job>& jobs, const std::string& key) {
  std::string text;
  std::set<std::string> seen;
  bool found = false;
  for (const config::Job& job : jobs) {
    const config::Tree* node = job.config.find_path(key);
    if (node == nullptr) continue;
    found = true;
    explain_value(key, *node, seen, text);
  }
  if (!found && !jobs.empty()) fail_unknown(key, jobs.front());
  return text;
}

std::string config_view(const Arguments& arguments, const config::ComposeRequest& request) {
  if (arguments.info == "defaults" || arguments.info == "defaults-tree") {
    return defaults_text(request, arguments.info == "defaults-tree");
  }
  if (!arguments.explain_key.empty()) {
    return explanation(config::compose(request), arguments.explain_key);
  }
  return config_documents(config::compose(request), arguments.package);
}

}  // namespace attnlab::cli
