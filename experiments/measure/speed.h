// Timing samples of a callable: by Google Benchmark on the CPU, by events on a CUDA device.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "kernels/ops/device.h"

namespace attnlab::measure {

struct SpeedOptions {
  double warmup_s = 0.1;          ///< run untimed for so long, and at least once
  double max_time_s = 5.0;        ///< for all samples together; one sample is always taken
  std::int64_t min_samples = 10;  ///< fewer only where max_time_s does not allow so many
  std::int64_t max_samples = 100;
  double rel_width = 0;  ///< enough samples where the interval of the median, over the median, is
                         ///< no wider; looked at from min_samples on. 0 = max_time_s is filled
  bool l2_flush = true;  ///< CUDA only: every sample is one run with a cold L2 cache
};

/// How the timed part is divided: `samples` samples, each the mean of `iterations` runs in a row.
struct SpeedPlan {
  std::int64_t iterations = 1;
  std::int64_t samples = 1;
};

/// Why no more samples were taken.
enum class SpeedStop { kWidth, kTime, kSamples };
/// "width", "time", "samples".
const char* speed_stop_name(SpeedStop stop);

/// From the time of one run. Runs shorter than 1 ms are put together into samples of about 1 ms
/// (fewer runs where min_samples would else not fit into max_time_s), then max_time_s is filled.
SpeedPlan plan_speed(double seconds_per_run, const SpeedOptions& options);

struct SpeedResult {
  std::vector<double> samples_ms;  ///< wall-clock time of one run, in the order taken
  double median_ms = 0;
  double p10_ms = 0;
  double p90_ms = 0;
  std::optional<double> ci_low_ms;  ///< 95% bootstrap interval of the median; none for one sample
  std::optional<double> ci_high_ms;
  SpeedStop stopped_by = SpeedStop::kTime;

  /// Width of the interval over the median; 0 for one sample.
  double relative_width() const;
};

/// Warms `run` up, plans, measures. What `run` throws comes out unchanged. Writes nothing to stdout
/// or stderr. Registers one benchmark and removes all registered ones afterwards; not for use from
/// two threads at once. Throws ConfigError for options that are not positive or min above max.
SpeedResult measure_speed(const std::function<void()>& run, const SpeedOptions& options);

/// The same on a CUDA device: `run` only starts work on the current stream, and the times are those
/// of CUDA events around it. With l2_flush a sample is one run after twice the L2 cache has been
/// overwritten, which also hides the time that the host needs to start the first kernel; without,
/// runs shorter than 1 ms are put together as above.
SpeedResult measure_device_speed(const ops::Device& device, const std::function<void()>& run,
                                 const SpeedOptions& options);

}  // namespace attnlab::measure
