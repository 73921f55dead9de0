// How quiet the machine was while a trial was timed. A noisy row is marked, not hidden.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "experiments/measure/cpus.h"
#include "experiments/measure/speed.h"
#include "kernels/ops/device.h"

namespace attnlab::measure {

/// Beyond these a row is noisy. Shares are of the wall-clock time of the samples.
struct NoiseLimits {
  double relative_width = 0.1;  ///< 95 % interval of the median over the median
  double other_cpus = 0.25;     ///< CPUs that other programs used, on average
  double stolen_cpus = 0.05;    ///< CPUs that the host of a virtual machine took
};

struct Noise {
  double load_before = 0;                  ///< load average of a minute at the start
  std::optional<double> other_cpus = {};   ///< see NoiseLimits; empty: too short a time to say
  std::optional<double> stolen_cpus = {};  ///< likewise
  double preemptions_per_s = 0;
  double mhz_before = 0;  ///< of the first CPU in use; 0 = not known
  double mhz_after = 0;
  int threads_to_pin = 0;             ///< 0: threads were not to be bound
  std::vector<int> pinned_cpus = {};  ///< empty: threads are not bound
  SpeedStop stopped_by = SpeedStop::kTime;
  double relative_width = 0;  ///< 0 for one sample, which has no interval
  std::vector<std::string> gpu_throttle = {};
  std::vector<std::string> causes = {};  ///< why the row is noisy, in words; empty = it is not
};

/// Reads the machine before and after the samples are taken.
class NoiseWatch {
 public:
  /// Binds the threads (see cpus.h), where there are any to bind.
  explicit NoiseWatch(int threads_to_pin);
  Noise finish(const SpeedResult& speed, const ops::DeviceClocks* clocks,
               const NoiseLimits& limits = {}) const;

 private:
  int threads_to_pin_ = 0;
  std::vector<int> pinned_cpus_;
  double load_ = 0;
  double mhz_ = 0;
  CpuTimes start_;
};

/// The causes of a noise that was measured; for NoiseWatch::finish and tests.
std::vector<std::string> noise_causes(const Noise& noise, const NoiseLimits& limits);

/// "noisy: other programs used 1.2 CPUs; ...", or "" for a quiet row.
std::string noise_reason(const Noise& noise);

nlohmann::ordered_json to_json(const Noise& noise);

}  // namespace attnlab::measure
