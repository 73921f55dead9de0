#include "experiments/config/job_limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "experiments/config/compose.h"
#include "experiments/config/emit_yaml.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

[[noreturn]] void fail(const Position& position, const std::string& message) {
  throw ConfigError(fmt::format("[config] {}: {}", position.to_string(), message));
}

}  // namespace

void check_mergeable(const Tree& base, const Tree& over, const std::string& path) {
  if ((base.is_list() && over.is_map()) || (base.is_map() && over.is_list())) {
    fail(over.position(),
         fmt::format("'{}' is {} here and {} at {}; they cannot be merged", path, over.kind_name(),
                     base.kind_name(), base.position().to_string()));
  }
  if (!base.is_map() || !over.is_map()) return;
  for (const auto& [key, value] : over.entries()) {
    if (const Tree* twin = base.find(key)) check_mergeable(*twin, value, join_path(path, key));
  }
}

std::size_t count_jobs(const std::vector<SweepSize>& sweeps, std::size_t most) {
  std::size_t count = 1;
  for (const SweepSize& sweep : sweeps) {
    if (__builtin_mul_overflow(count, sweep.values, &count) || count > most) {
      std::vector<std::string> sizes;
      for (const SweepSize& each : sweeps) {
        sizes.push_back(fmt::format("{}: {}", each.key, each.values));
      }
      fail(sweep.position,
           fmt::format("the sweep makes more than {} jobs ({}); take fewer values, or allow that "
                       "many with --max-jobs N",
                       most, join_names(sizes)));
    }
  }
  return count;
}

void check_run_dir(const Tree& config) {
  const Tree* dir = config.find_path("run.dir");
  if (dir == nullptr || !dir->is_string() || dir->as_string().empty()) return;
  if (dir->position().line == 0) return;
  const std::filesystem::path path = std::filesystem::path(dir->as_string()).lexically_normal();
  const auto rest = path.lexically_relative("outputs");
  const bool below = path.is_relative() && !rest.empty() && rest != "." && *rest.begin() != "..";
  if (below) return;
  fail(dir->position(),
       fmt::format("run.dir = {} in a config file must lie below outputs/; to write elsewhere "
                   "give run.dir=... on the command line",
                   override_text(*dir)));
}

void JobMemory::add(const Tree& config, std::size_t jobs_left) {
  const std::size_t size = config.node_count();
  if (size > (kMaxJobNodes - std::min(nodes_, kMaxJobNodes)) / jobs_left) {
    fail(config.position(),
         fmt::format("a config of {} values in each of {} jobs is more than can be held (at most "
                     "{} values in all); take fewer values in the sweep",
                     size, jobs_left, kMaxJobNodes));
  }
  nodes_ += size;
}

}  // namespace attnlab::config
