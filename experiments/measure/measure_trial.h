// Measures one variant on one problem: the core of a trial.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "analysis/record.h"
#include "experiments/measure/inputs.h"
#include "experiments/measure/speed.h"
#include "variants/api/variant.h"

namespace attnlab::measure {

struct MeasureOptions {
  SpeedOptions speed = {};
  std::int64_t error_rows = 64;
  /// Tensor bytes that the trial may have alive at once; 0 = what the machine can still give.
  std::int64_t memory_limit_bytes = 0;
  bool measure_time = true;  ///< else memory and errors only
  /// > 0: before the samples are taken, so many threads are bound to a CPU each, for the rest of
  /// the process.
  int pin_threads = 0;
};

struct TrialMeasurement {
  /// The measurement's columns: status, reason, kernel, time_*, samples, flops, tflops, bytes,
  /// gbps,
  /// *_bytes, error_*, approx_error. The others are the caller's.
  analysis::Record record;
  std::vector<double> samples_ms;  ///< empty where the status is not ok or no time was measured
  std::string notes;               ///< "", or the JSON object {"noise": ...} of noise.h
};

/// supports -> plan -> predicted memory against the limit -> inputs -> one run for memory (also the
/// first warm-up) -> accuracy -> speed. Never throws for what a variant does: an exception becomes
/// the status (oom for memory, unsupported for UnsupportedError, else failed) with the first line
/// of its message as the reason, and what was measured until then stays. A wrong result is not
/// timed. ConfigError of the inputs is thrown on. `inputs.problem` is replaced by `problem`.
/// Installs the counting allocator. Threads are the caller's affair (at::set_num_threads). CPU and
/// CUDA (where a warm-up run comes before the one for memory, so that what libraries take once is
/// not counted); a noisy ok row has the cause in its reason; directions
/// forward, backward and forward_backward, else status unsupported.
TrialMeasurement measure_trial(const Variant& variant, const Problem& problem,
                               const MeasureOptions& options, InputsRequest inputs);

}  // namespace attnlab::measure
