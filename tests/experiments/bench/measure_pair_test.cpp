#include "experiments/bench/measure_pair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

namespace attnlab::bench {
namespace {

MeasureOptions options() {
  MeasureOptions o;
  o.time_s = 2;
  o.min_samples = 7;
  o.max_samples = 31;
  o.slow_s = 20;
  o.slow_samples = 3;
  return o;
}

TEST(MeasurePair, SamplesFillTheTime) { EXPECT_EQ(plan_samples(0.1, options()), 20); }

TEST(MeasurePair, AtMostMaxSamples) { EXPECT_EQ(plan_samples(1e-4, options()), 31); }

TEST(MeasurePair, AtLeastMinSamples) { EXPECT_EQ(plan_samples(1.0, options()), 7); }

TEST(MeasurePair, FewerOnlyWhereTheyTakeTooLong) {
  EXPECT_EQ(plan_samples(2.8, options()), 7);
  EXPECT_EQ(plan_samples(2.9, options()), 3);
}

/// Binds this thread to one of its CPUs, as measuring demands, while it lives.
class PinnedScope {
 public:
  PinnedScope() {
    sched_getaffinity(0, sizeof(before_), &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one);
  }
  ~PinnedScope() { sched_setaffinity(0, sizeof(before_), &before_); }
  PinnedScope(const PinnedScope&) = delete;
  PinnedScope& operator=(const PinnedScope&) = delete;

 private:
  cpu_set_t before_;
};

TEST(MeasurePair, AProblemBecomesAnErrorRow) {
  const PinnedScope pinned;
  // No chunk of Torch's linear attention divides 100 tokens.
  const BenchCase c{.group = "linear_forward",
                    .op = Op::kLinear,
                    .peer = Peer::kChunkedOps,
                    .seqlen = 100,
                    .head_dim = 8,
                    .causal = true};
  const Result result = measure_case(c, options());
  EXPECT_FALSE(result.ok());
  EXPECT_THAT(result.error, ::testing::HasSubstr("do not divide 100 tokens"));
}

TEST(MeasurePair, AWrongResultIsNotTimed) {
  const PinnedScope pinned;
  // We see a window of 16 keys, this peer all keys before the query.
  const BenchCase c{.group = "window", .seqlen = 64, .head_dim = 8, .causal = true, .window = 16};
  const Result result = measure_case(c, options());
  EXPECT_THAT(result.error, ::testing::HasSubstr("torch_sdpa differ by"));
  EXPECT_GT(result.relative_l2, result.tolerance);
  EXPECT_EQ(result.samples, 0);
}

TEST(MeasurePair, ARightResultIsTimed) {
  const PinnedScope pinned;
  MeasureOptions quick = options();
  quick.time_s = 1e-3;
  quick.min_samples = 2;
  const BenchCase c{.group = "exact_forward", .seqlen = 64, .head_dim = 8, .causal = true};
  const Result result = measure_case(c, quick);
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.samples, 2);
  EXPECT_GT(result.ours.median_ms, 0);
  EXPECT_GT(result.theirs.median_ms, 0);
  EXPECT_GT(result.ceilings.at(result.ceiling), 0);
  EXPECT_LE(result.relative_l2, result.tolerance);
}

}  // namespace
}  // namespace attnlab::bench
