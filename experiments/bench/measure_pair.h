// Times our side and its peer against each other.
#pragma once

#include <cstdint>

#include "experiments/bench/case.h"
#include "experiments/bench/result.h"
#include "experiments/bench/threads.h"

namespace attnlab::bench {

struct MeasureOptions {
  double time_s = 2.0;  ///< of a case's samples; exceeded for min_samples
  int min_samples = 7;  ///< of each side
  int max_samples = 31;
  double slow_s = 30.0;                             ///< where min_samples would take longer ...
  int slow_samples = 3;                             ///< ... this many do
  Clock clock = Clock::kWall;                       ///< kThreadCpu for one thread only
  std::int64_t read_bytes = std::int64_t{1} << 30;  ///< for the read ceiling and for flushing
};

/// Samples for a round (one sample of everything) of so many seconds.
int plan_samples(double round_seconds, const MeasureOptions& options);

/// Makes the inputs, runs each side and compares the results, warms up, picks the fastest peer,
/// then samples in rounds: ceilings, ours, peer, ceilings, ours, peer, ... A sample of a short call
/// is the mean of as many calls as take 2 ms; decode reads read_bytes before each of its samples,
/// so that no cache holds its inputs. What goes wrong, a wrong result too, is in Result::error.
Result measure_case(const BenchCase& bench_case, const MeasureOptions& options);

}  // namespace attnlab::bench
