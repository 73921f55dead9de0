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

}  // namespace
}  // namespace attnlab::bench
