// What a composed config and all jobs together may be.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// Configs that are merged must agree on what is a list and what a map; ConfigError with both
/// places otherwise. `path` is where they stand.
void check_mergeable(const Tree& base, const Tree& over, const std::string& path);

/// One swept key: how many values, and where it is swept.
struct SweepSize {
  std::string key;
  std::size_t values = 0;
  Position position;
};

/// The product of the sizes. Throws ConfigError above `most`.
std::size_t count_jobs(const std::vector<SweepSize>& sweeps, std::size_t most);

/// A file, perhaps somebody else's, may name a folder below the output root only; who starts the
/// run may name any. Throws ConfigError.
void check_run_dir(const Tree& config);

/// Refuses jobs that would together take all memory, at the first of them.
class JobMemory {
 public:
  /// Counts one config; `jobs_left` are to come, this one included. Throws ConfigError.
  void add(const Tree& config, std::size_t jobs_left);

 private:
  std::size_t nodes_ = 0;
};

}  // namespace attnlab::config
