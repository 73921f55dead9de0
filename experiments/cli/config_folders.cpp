#include "experiments/cli/config_folders.h"

#include <fmt/format.h>

#include <set>
#include <system_error>

#include "experiments/root.h"
#include "kernels/core/error.h"

namespace attnlab::cli {
namespace fs = std::filesystem;
namespace {

/// Hydra takes a name with the file's ending as well.
std::string config_name(const Arguments& arguments) {
  const std::string& name = arguments.config_name;
  if (name.empty()) return "config";
  return name.ends_with(".yaml") ? name.substr(0, name.size() - 5) : name;
}

}  // namespace

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

std::vector<std::string> group_names(const std::vector<fs::path>& dirs) {
  std::set<std::string> names;
  for (const auto& dir : dirs) {
    std::error_code ignored;
    const auto options = fs::directory_options::skip_permission_denied;
    for (fs::recursive_directory_iterator at(dir, options, ignored), end; at != end;
         at.increment(ignored)) {
      const auto folder = at->path().parent_path();
      if (at->path().extension() == ".yaml" && folder != dir) {
        names.insert(folder.lexically_relative(dir).generic_string());
      }
    }
  }
  return {names.begin(), names.end()};
}

config::ComposeRequest run_request(const Arguments& arguments) {
  config::ComposeRequest request;
  request.config_dirs = config_dirs(arguments);
  request.config_name = config_name(arguments);
  request.overrides = arguments.words;
  if (arguments.max_jobs > 0) request.max_jobs = arguments.max_jobs;
  // A variant from a plugin has no file under configs/variant.
  request.open_groups = {"variant"};
  return request;
}

config::ComposeRequest compose_request(const Arguments& arguments) {
  config::ComposeRequest request;
  request.config_dirs = {config_dirs(arguments).front()};
  request.config_name = config_name(arguments);
  request.overrides = arguments.words;
  if (arguments.max_jobs > 0) request.max_jobs = arguments.max_jobs;
  request.schema_free = true;
  request.multirun = arguments.multirun;
  return request;
}

}  // namespace attnlab::cli
