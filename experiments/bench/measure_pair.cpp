#include "experiments/bench/measure_pair.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <map>
#include <optional>
#include <vector>

#include "analysis/statistics.h"
#include "experiments/bench/ceilings.h"
#include "experiments/bench/comparison.h"
#include "kernels/core/error.h"
#include "kernels/cpu/kernel_table.h"

namespace attnlab::bench {
namespace {

constexpr double kMinSampleSeconds = 2e-3;
constexpr double kSlowCallSeconds = 0.5;
/// A candidate this many times slower than the fastest in its first call is given up.
constexpr double kHopeless = 1.5;

/// Our kernels use `isa` while this lives.
class IsaScope {
 public:
  explicit IsaScope(cpu::Isa isa) { cpu::override_isa_for_testing(isa); }
  ~IsaScope() { cpu::override_isa_for_testing(cpu::current_isa()); }
  IsaScope(const IsaScope&) = delete;
  IsaScope& operator=(const IsaScope&) = delete;
};

cpu::Isa isa_of(const BenchCase& bench_case) {
  const cpu::Isa isa = cpu::current_isa();
  if (!bench_case.force_avx2) return isa;
  if (isa < cpu::Isa::kAvx2) {
    throw UnsupportedError(fmt::format("[bench] {} needs AVX2; this run uses {}",
                                       case_name(bench_case), cpu::isa_name(isa)));
  }
  return cpu::Isa::kAvx2;
}

class Timer {
 public:
  /// With `single`, a sample is one call, however short.
  Timer(const Side& side, Clock clock, bool single)
      : side_(&side), clock_(clock), most_calls_(single ? 1 : 1000) {}

  double seconds_of(int calls) const {
    const double start = now(clock_);
    for (int i = 0; i < calls; ++i) side_->run();
    return (now(clock_) - start) / calls;
  }

  /// Estimates the time of a call: the faster of two, or one where that takes long. Decides how
  /// many calls make a sample.
  void warm_up() {
    seconds_ = seconds_of(1);
    if (seconds_ < kSlowCallSeconds) seconds_ = std::min(seconds_, seconds_of(1));
    calls_ = std::clamp(static_cast<int>(std::ceil(kMinSampleSeconds / seconds_)), 1, most_calls_);
  }

  double call_seconds() const { return seconds_; }
  double sample_seconds() const { return seconds_ * calls_; }
  double sample_ms() const { return seconds_of(calls_) * 1e3; }
  const std::string& name() const { return side_->name; }

 private:
  const Side* side_;
  Clock clock_;
  int most_calls_;
  int calls_ = 1;
  double seconds_ = 0;
};

/// Compares every peer with us; the worst counts. Returns the seconds of each.
std::vector<double> check_agreement(const Comparison& comparison, Clock clock, Result& result) {
  const Tensors ours = comparison.ours.run();
  std::vector<double> seconds;
  for (const Side& peer : comparison.peers) {
    const double start = now(clock);
    const Tensors theirs = peer.run();
    seconds.push_back(now(clock) - start);
    const double difference = relative_l2(ours, theirs);
    result.relative_l2 = std::max(result.relative_l2, difference);
    if (difference <= result.tolerance) continue;
    throw Error(
        fmt::format("[bench] {} and {} differ by {:.2g} (relative L2), allowed {:.2g}; "
                    "times of a wrong result mean nothing",
                    comparison.ours.name, peer.name, difference, result.tolerance));
  }
  return seconds;
}

/// The fastest candidate, warmed up. `first_seconds` are of one call each.
Timer fastest(const std::vector<Side>& peers, const std::vector<double>& first_seconds, Clock clock,
              bool single) {
  const double least = *std::min_element(first_seconds.begin(), first_seconds.end());
  std::optional<Timer> best;
  for (std::size_t i = 0; i < peers.size(); ++i) {
    if (first_seconds[i] > kHopeless * least) continue;
    Timer timer(peers[i], clock, single);
    timer.warm_up();
    if (!best || timer.call_seconds() < best->call_seconds()) best = timer;
  }
  return best.value();
}

void measure(const BenchCase& c, const MeasureOptions& options, Result& result) {
  const cpu::Isa isa = isa_of(c);
  const IsaScope scope(isa);
  use_threads(c.threads);
  const Comparison comparison = make_comparison(c);
  result.isa = cpu::isa_name(isa);
  result.kernel = comparison.ours.name;
  result.work = comparison.work;
  const auto first_seconds = check_agreement(comparison, options.clock, result);

  const bool flush = c.op == Op::kDecode;
  const std::vector<Ceiling> ceilings = ceilings_of(c, isa, options.clock, options.read_bytes);
  result.ceiling = ceilings.front().name;
  std::map<std::string, std::vector<double>> rates;
  const auto sample_ceilings = [&] {
    for (const Ceiling& ceiling : ceilings) rates[ceiling.name].push_back(ceiling.rate());
  };
  const auto sample = [&](const Timer& timer) {
    if (flush) flush_caches(c.threads, options.read_bytes);
    return timer.sample_ms();
  };

  Timer ours(comparison.ours, options.clock, flush);
  ours.warm_up();
  const Timer theirs = fastest(comparison.peers, first_seconds, options.clock, flush);
  result.peer = theirs.name();
  sample_ceilings();  // A warm-up, which also makes the memory to read.
  const double start = now(options.clock);
  sample_ceilings();
  const double ceiling_seconds = now(options.clock) - start;
  rates.clear();
  const double round =
      ours.sample_seconds() + theirs.sample_seconds() + ceiling_seconds * (flush ? 3 : 1);

  result.samples = plan_samples(round, options);
  std::vector<double> our_ms, their_ms;
  for (int i = 0; i < result.samples; ++i) {
    sample_ceilings();
    our_ms.push_back(sample(ours));
    their_ms.push_back(sample(theirs));
  }
  result.ours = times_of(our_ms);
  result.theirs = times_of(their_ms);
  for (const auto& [name, samples] : rates) result.ceilings[name] = analysis::median(samples);
}

}  // namespace

int plan_samples(double round_seconds, const MeasureOptions& options) {
  const int least = round_seconds * options.min_samples > options.slow_s ? options.slow_samples
                                                                         : options.min_samples;
  const double affordable = options.time_s / std::max(round_seconds, 1e-9);
  return std::max(least,
                  static_cast<int>(std::min(affordable, static_cast<double>(options.max_samples))));
}

Result measure_case(const BenchCase& bench_case, const MeasureOptions& options) {
  Result result;
  result.bench_case = bench_case;
  result.unit = bench_case.op == Op::kDecode ? "GB/s" : "GFLOP/s";
  result.tolerance = tolerance_of(bench_case);
  try {
    measure(bench_case, options, result);
  } catch (const std::exception& error) {
    // Messages of Torch carry a stack trace from the second line on.
    const std::string message = error.what();
    result.error = message.substr(0, message.find('\n'));
  }
  return result;
}

}  // namespace attnlab::bench
