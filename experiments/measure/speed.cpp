#include "experiments/measure/speed.h"

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <stdexcept>
#include <utility>

#include "analysis/statistics.h"
#include "kernels/core/error.h"

namespace attnlab::measure {
namespace {

constexpr double kMinSampleSeconds = 1e-3;
constexpr std::int64_t kMaxIterations = 1'000'000;
constexpr const char* kName = "attnlab_trial";

void check(const SpeedOptions& options) {
  const bool ok = options.warmup_s >= 0 && options.max_time_s > 0 && options.min_samples >= 1 &&
                  options.max_samples >= options.min_samples && options.max_samples <= 1'000'000 &&
                  options.rel_width >= 0;
  if (ok) return;
  throw ConfigError(fmt::format(
      "[speed] warmup_s={}, max_time_s={}, min_samples={}, max_samples={}, rel_width={}; needed: "
      "warmup_s >= 0, max_time_s > 0, 1 <= min_samples <= max_samples <= 1000000, rel_width >= 0",
      options.warmup_s, options.max_time_s, options.min_samples, options.max_samples,
      options.rel_width));
}

/// Keeps the repetitions and prints nothing.
class Collector final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
      samples_ms.push_back(run.real_accumulated_time / static_cast<double>(run.iterations) * 1e3);
    }
  }

  std::vector<double> samples_ms;
};

/// Seconds per run: the mean of the second half of the warm-up, or of its only run. The first runs
/// pay for page faults and caches, and would make the plan too short.
double warm_up(const std::function<void()>& run, double warmup_s) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  double half_time = 0;
  std::int64_t half_runs = 0;
  std::int64_t runs = 0;
  do {
    run();
    ++runs;
    if (half_runs == 0 && elapsed() >= warmup_s / 2) {
      half_time = elapsed();
      half_runs = runs;
    }
  } while (elapsed() < warmup_s);
  const double total = elapsed();
  if (runs == half_runs) return total / static_cast<double>(runs);
  return (total - half_time) / static_cast<double>(runs - half_runs);
}

std::vector<double> take_samples(const std::function<void()>& run, const SpeedPlan& plan) {
  std::exception_ptr thrown;
  const auto body = [&](benchmark::State& state) {
    for ([[maybe_unused]] auto _ : state) {
      try {
        if (!thrown) run();
      } catch (...) {
        thrown = std::current_exception();
      }
      if (thrown) {
        state.SkipWithError("threw");
        break;
      }
    }
  };
  Collector collector;
  benchmark::RegisterBenchmark(kName, body)
      ->Iterations(plan.iterations)
      ->Repetitions(static_cast<int>(plan.samples))
      ->UseRealTime();
  const auto matched = benchmark::RunSpecifiedBenchmarks(&collector, std::string(kName));
  benchmark::ClearRegisteredBenchmarks();
  if (thrown) std::rethrow_exception(thrown);
  if (matched != 1 || collector.samples_ms.size() != static_cast<std::size_t>(plan.samples)) {
    throw std::logic_error(fmt::format("[speed] {} samples of {} benchmarks, planned {} of 1",
                                       collector.samples_ms.size(), matched, plan.samples));
  }
  return std::move(collector.samples_ms);
}

SpeedResult summarise(std::vector<double> samples_ms) {
  SpeedResult result;
  result.samples_ms = std::move(samples_ms);
  result.median_ms = analysis::median(result.samples_ms);
  result.p10_ms = analysis::quantile(result.samples_ms, 0.1);
  result.p90_ms = analysis::quantile(result.samples_ms, 0.9);
  if (result.samples_ms.size() > 1) {
    const analysis::Interval interval = analysis::median_interval(result.samples_ms);
    result.ci_low_ms = interval.low;
    result.ci_high_ms = interval.high;
  }
  return result;
}

/// take(n) gives n more samples; `affordable` of them fill max_time_s. Rounds grow by half, so that
/// the interval is looked at a few times only.
SpeedResult sample_until(const SpeedOptions& options, std::int64_t affordable,
                         const std::function<std::vector<double>(std::int64_t)>& take) {
  if (options.rel_width == 0) {
    SpeedResult result = summarise(take(affordable));
    result.stopped_by = affordable == options.max_samples ? SpeedStop::kSamples : SpeedStop::kTime;
    return result;
  }
  SpeedResult result;
  std::int64_t next = std::min(options.min_samples, affordable);
  for (;;) {
    std::vector<double> samples = std::move(result.samples_ms);
    const std::vector<double> more = take(next);
    samples.insert(samples.end(), more.begin(), more.end());
    const auto taken = static_cast<std::int64_t>(samples.size());
    result = summarise(std::move(samples));
    if (taken >= affordable) {
      result.stopped_by =
          affordable == options.max_samples ? SpeedStop::kSamples : SpeedStop::kTime;
      return result;
    }
    if (taken > 1 && result.relative_width() <= options.rel_width) {
      result.stopped_by = SpeedStop::kWidth;
      return result;
    }
    next = std::clamp(taken / 2, std::int64_t{1}, affordable - taken);
  }
}

}  // namespace

const char* speed_stop_name(SpeedStop stop) {
  switch (stop) {
    case SpeedStop::kWidth: return "width";
    case SpeedStop::kTime: return "time";
    case SpeedStop::kSamples: return "samples";
  }
  return "unknown";
}

double SpeedResult::relative_width() const {
  if (!ci_low_ms || !ci_high_ms || !(median_ms > 0)) return 0;
  return (*ci_high_ms - *ci_low_ms) / median_ms;
}

SpeedPlan plan_speed(double seconds_per_run, const SpeedOptions& options) {
  check(options);
  const double seconds = std::max(seconds_per_run, 1e-9);
  const double affordable_runs = options.max_time_s / seconds;
  // Batches are kept small enough for min_samples of them.
  const double batch = std::min(std::ceil(kMinSampleSeconds / seconds),
                                affordable_runs / static_cast<double>(options.min_samples));
  SpeedPlan plan;
  plan.iterations = std::clamp(static_cast<std::int64_t>(batch), std::int64_t{1}, kMaxIterations);
  const double samples = affordable_runs / static_cast<double>(plan.iterations);
  plan.samples =
      static_cast<std::int64_t>(std::clamp(samples, 1.0, static_cast<double>(options.max_samples)));
  return plan;
}

SpeedResult measure_speed(const std::function<void()>& run, const SpeedOptions& options) {
  check(options);
  const SpeedPlan plan = plan_speed(warm_up(run, options.warmup_s), options);
  return sample_until(options, plan.samples, [&](std::int64_t samples) {
    return take_samples(run, {.iterations = plan.iterations, .samples = samples});
  });
}

SpeedResult measure_device_speed(const ops::Device& device, const std::function<void()>& run,
                                 const SpeedOptions& options) {
  check(options);
  const auto run_and_wait = [&] {
    run();
    device.synchronize();
  };
  const double seconds = warm_up(run_and_wait, options.warmup_s);
  SpeedPlan plan = plan_speed(seconds, options);
  if (options.l2_flush) {
    const double affordable = std::clamp(options.max_time_s / std::max(seconds, 1e-9), 1.0,
                                         static_cast<double>(options.max_samples));
    plan = {.iterations = 1, .samples = static_cast<std::int64_t>(affordable)};
  }
  return sample_until(options, plan.samples, [&](std::int64_t samples) {
    return device.time_ms(
        run, {.samples = samples, .iterations = plan.iterations, .flush_l2 = options.l2_flush});
  });
}

}  // namespace attnlab::measure
