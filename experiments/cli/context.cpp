#include "experiments/cli/context.h"

#include <fmt/format.h>

#include <set>
#include <system_error>

#include "experiments/config/resolvers.h"
#include "experiments/config/schema.h"
#include "experiments/root.h"
#include "kernels/core/error.h"

namespace attnlab::cli {
namespace fs = std::filesystem;

std::vector<fs::path> config_dirs(const Arguments& arguments) {
  std::vector<fs::path> dirs;
  if (!arguments.config_dir.empty()) {
    std::error_code ignored;
    if (!fs::is_directory(arguments.config_dir, ignored)) {
      throw ConfigError(
          fmt::format("[config] --config-dir {} is no folder. Name the folder that holds "
                      "the YAML files.",
                      arguments.config_dir));
    }
    dirs.emplace_back(arguments.config_dir);
  }
  dirs.push_back(project_root() / "configs");
  return dirs;
}

config::ComposeRequest run_request(const Arguments& arguments) {
  config::ComposeRequest request;
  request.config_dirs = config_dirs(arguments);
  if (!arguments.config_name.empty()) request.config_name = arguments.config_name;
  request.overrides = arguments.words;
  // A variant from a plugin has no file under configs/variant.
  request.open_groups = {"variant"};
  return request;
}

std::vector<config::Job> compose_jobs(const Arguments& arguments) {
  config::refuse_secret_variables();
  return config::compose(run_request(arguments));
}

std::vector<std::string> group_names(const std::vector<fs::path>& dirs) {
  std::set<std::string> names;
  for (const auto& dir : dirs) {
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(dir, ignored)) {
      const auto folder = entry.path().parent_path();
      if (entry.path().extension() == ".yaml" && folder != dir) {
        names.insert(folder.lexically_relative(dir).generic_string());
      }
    }
  }
  return {names.begin(), names.end()};
}

LoadedRegistry load_registry(const std::vector<std::string>& plugin_paths) {
  LoadedRegistry loaded;
  register_builtin_variants(loaded.registry);
  std::set<fs::path> seen;
  for (const std::string& path : plugin_paths) {
    if (!seen.insert(fs::weakly_canonical(path)).second) continue;
    loaded.plugins.push_back(load_plugin(path, loaded.registry));
  }
  return loaded;
}

std::vector<std::string> plugin_paths(const Arguments& arguments,
                                      const std::vector<config::Job>& jobs) {
  std::vector<std::string> paths = arguments.plugins;
  for (const config::Job& job : jobs) {
    for (const std::string& path : config::parse_run(job.config).plugins) paths.push_back(path);
  }
  for (std::string& path : paths) path = fs::absolute(path).string();
  return paths;
}

}  // namespace attnlab::cli
