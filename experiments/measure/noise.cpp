#include "experiments/measure/noise.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace attnlab::measure {
namespace {

int first_cpu(const std::vector<int>& pinned) { return pinned.empty() ? 0 : pinned.front(); }

std::string joined(const std::vector<std::string>& texts, const char* separator) {
  std::string result;
  for (const std::string& text : texts) result += (result.empty() ? "" : separator) + text;
  return result;
}

nlohmann::ordered_json number_or_null(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

double load_average() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : 0;
}

}  // namespace

NoiseWatch::NoiseWatch(int threads_to_pin)
    : threads_to_pin_(threads_to_pin),
      pinned_cpus_(threads_to_pin > 0 ? pin_threads(threads_to_pin) : std::vector<int>()),
      load_(load_average()),
      mhz_(cpu_mhz(first_cpu(pinned_cpus_))),
      start_(read_cpu_times()) {}

Noise NoiseWatch::finish(const SpeedResult& speed, const ops::DeviceClocks* clocks,
                         const NoiseLimits& limits) const {
  const CpuTimes end = read_cpu_times();
  const double wall = std::max(end.wall_s - start_.wall_s, 1e-9);
  // The kernel counts in ticks of 10 ms: shorter times say nothing about others.
  constexpr double kShortest = 0.2;
  Noise noise;
  noise.load_before = load_;
  if (wall >= kShortest) {
    const double others = (end.busy_s - start_.busy_s) - (end.own_s - start_.own_s);
    noise.other_cpus = std::max(others / wall, 0.0);
    noise.stolen_cpus = (end.stolen_s - start_.stolen_s) / wall;
  }
  noise.preemptions_per_s = static_cast<double>(end.preemptions - start_.preemptions) / wall;
  noise.mhz_before = mhz_;
  noise.mhz_after = cpu_mhz(first_cpu(pinned_cpus_));
  noise.threads_to_pin = threads_to_pin_;
  noise.pinned_cpus = pinned_cpus_;
  noise.stopped_by = speed.stopped_by;
  noise.relative_width = speed.relative_width();
  if (clocks != nullptr) noise.gpu_throttle = clocks->throttle_reasons;
  noise.causes = noise_causes(noise, limits);
  return noise;
}

std::vector<std::string> noise_causes(const Noise& noise, const NoiseLimits& limits) {
  std::vector<std::string> causes;
  if (noise.other_cpus && *noise.other_cpus > limits.other_cpus) {
    causes.push_back(fmt::format("other programs used {:.1f} CPUs", *noise.other_cpus));
  }
  if (noise.stolen_cpus && *noise.stolen_cpus > limits.stolen_cpus) {
    causes.push_back(
        fmt::format("the host of this virtual machine took {:.2f} CPUs", *noise.stolen_cpus));
  }
  if (noise.relative_width > limits.relative_width) {
    causes.push_back(
        fmt::format("the interval of the median is {:.0f} % wide", 100 * noise.relative_width));
  }
  if (noise.threads_to_pin > 0 && noise.pinned_cpus.empty()) {
    causes.push_back(
        fmt::format("there are not {} CPUs to bind the threads to", noise.threads_to_pin));
  }
  if (!noise.gpu_throttle.empty()) {
    causes.push_back(
        fmt::format("the GPU's clock was held back ({})", joined(noise.gpu_throttle, ", ")));
  }
  return causes;
}

std::string noise_reason(const Noise& noise) {
  if (noise.causes.empty()) return "";
  return fmt::format("noisy: {}", joined(noise.causes, "; "));
}

nlohmann::ordered_json to_json(const Noise& noise) {
  return {{"load_before", noise.load_before},
          {"other_cpus", number_or_null(noise.other_cpus)},
          {"stolen_cpus", number_or_null(noise.stolen_cpus)},
          {"preemptions_per_s", noise.preemptions_per_s},
          {"mhz_before", noise.mhz_before},
          {"mhz_after", noise.mhz_after},
          {"pinned_cpus", noise.pinned_cpus},
          {"stopped_by", speed_stop_name(noise.stopped_by)},
          {"relative_width", noise.relative_width},
          {"gpu_throttle", noise.gpu_throttle},
          {"causes", noise.causes}};
}

}  // namespace attnlab::measure
