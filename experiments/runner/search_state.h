// One search for the longest sequence as far as it has come: which probe is next, whether that has
// any hope, and what the search found.
#pragma once

#include <optional>
#include <string>

#include "analysis/record.h"
#include "experiments/runner/grid.h"
#include "experiments/runner/growth.h"
#include "experiments/runner/length_search.h"

namespace attnlab::runner {

/// A probe that is expected to take longer than a limit by more than this factor is not run. Where
/// the resolution is at most 0.14, lengths next to one that fits stay below it (1.14^3 < 1.5), so
/// that the final bound is measured.
inline constexpr double kHopeless = 1.5;

/// "" where the row is that of a probe that fits; else why not: "a run takes 1.31 s, ..." or
/// "oom: not started: ...".
std::string misfit(const analysis::Record& record, double time_limit_ms);

class SearchState {
 public:
  /// `search` outlives the object.
  explicit SearchState(const Trial& search) : search_(search), lengths_(search.config.longest) {}

  /// The next probe; nothing where the search has ended.
  std::optional<Trial> next() const;

  /// Why running `probe` could only end at a limit of time, by the growth of shorter ones; "" where
  /// it may fit.
  std::string hopeless(const Trial& probe) const;

  /// Takes the row of the probe that `next` gave.
  void add(const analysis::Record& record);

  /// Fills status, reason, lengths, task and metric columns and the duration.
  void summarize(analysis::Record& summary) const;

  std::int64_t longest() const { return lengths_.longest(); }

 private:
  const Trial& search_;
  LengthSearch lengths_;
  Growth time_ms_;
  Growth duration_s_;
  analysis::Record bound_;  ///< the row at lengths_.bound()
  double total_s_ = 0;
};

}  // namespace attnlab::runner
