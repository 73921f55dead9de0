// The table at the end: one line per group of cases, what was reached against what was aimed at.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "experiments/bench/result.h"

namespace attnlab::bench {

/// What a group aims at, on this project's reference machine. Nothing where nothing is promised.
struct Target {
  std::string group;  ///< line of the table, e.g. "exact_backward float32 d64"
  std::optional<double> fraction;
  std::optional<double> speedup;
  bool fraction_counts = true;  ///< whether this case enters the group's fraction
};

Target target_of(const BenchCase& bench_case);

/// exp(mean(log(value))). Values above 0, at least one.
double geometric_mean(std::span<const double> values);

struct GroupSummary {
  std::string group;
  Target target;
  std::string ceiling, unit;
  int cases = 0, errors = 0;
  std::vector<double> achieved, fractions, tile_fractions, speedups;

  double mean_fraction() const { return geometric_mean(fractions); }
  double mean_speedup() const { return geometric_mean(speedups); }
  /// No error, and both means reach their targets.
  bool passes() const;
};

/// In the order in which the groups first appear.
std::vector<GroupSummary> summarize(std::span<const Result> results);

/// Text for people, and what its columns mean below it.
std::string summary_table(std::span<const GroupSummary> groups);

/// One line per case, in the order measured.
std::string case_table(std::span<const Result> results);

}  // namespace attnlab::bench
