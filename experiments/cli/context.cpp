#include "experiments/cli/context.h"

#include <set>

#include "experiments/config/resolvers.h"
#include "experiments/config/schema.h"

namespace attnlab::cli {
namespace fs = std::filesystem;

std::vector<config::Job> compose_jobs(const Arguments& arguments) {
  config::refuse_secret_variables();
  return config::compose(run_request(arguments));
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
