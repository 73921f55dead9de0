// Composes configs the way Hydra does: a primary config, its defaults list, overrides, sweeps,
// interpolation. One call gives every job of a run, each composed on its own.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "experiments/config/group_files.h"
#include "experiments/config/tree.h"

namespace attnlab::config {

/// Most jobs that one call makes.
inline constexpr std::size_t kMaxJobs = 10'000;

/// Most overrides of one command line.
inline constexpr std::size_t kMaxOverrides = 1000;
/// Most values in the configs of all jobs together.
inline constexpr std::size_t kMaxJobNodes = 20'000'000;

struct ComposeRequest {
  std::vector<std::filesystem::path> config_dirs;  ///< searched in order
  std::string config_name = "config";
  std::vector<std::string> overrides;  ///< as on the command line
  /// Groups such as "variant": an option without a file becomes the map {name: OPTION}, and keys
  /// below the group may be set without a `+`.
  std::set<std::string> open_groups;
  /// Nothing is known about the keys: `sweep:` is a key like others, a sweep without values gives
  /// no jobs, and `hydra:`, which configures Hydra itself, is left out of the result, whatever is
  /// overridden in it.
  bool schema_free = false;
  std::size_t max_jobs = kMaxJobs;  ///< a sweep that makes more is refused
  /// With `schema_free`: sweeps `hydra.sweeper.params` too, as Hydra does with --multirun.
  bool multirun = false;
};

struct Job {
  Tree config;  ///< resolved, without `sweep` and `defaults`; `???` may remain
  /// Concrete overrides, one value each, that give exactly this job: the user's and the sweep's.
  std::vector<std::string> overrides;
  /// The swept keys with this job's values, in the order of the sweep.
  std::vector<std::pair<std::string, std::string>> sweep_values;
};

/// A config file that went into the result.
struct MergedConfig {
  std::string config;   ///< "group/option"
  std::string package;  ///< where its values go, "a.b"; "" = the top
  std::size_t depth;    ///< 1 = the primary config, 2 = of its defaults list, ...
};

/// The cartesian product of all sweeps; the last key varies fastest. Keys of the config's `sweep:`
/// map come first, in their order, then those of the command line. An override of a swept key,
/// swept itself or not, replaces the config's values and keeps the key's place. If the options of a
/// swept group bring different `sweep:` maps, such groups vary slowest and each option has its own
/// sweep. Where anything is swept, the last of two overrides of one key (with one sign) counts, as
/// in Hydra. Throws ConfigError, also for a sweep without values unless `schema_free`.
std::vector<Job> compose(const ComposeRequest& request);

/// The configs that are merged for the first job, the last one wins. Throws ConfigError.
std::vector<MergedConfig> merged_configs(const ComposeRequest& request);

}  // namespace attnlab::config
