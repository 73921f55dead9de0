#include "experiments/bench/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attnlab::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// `fraction` of a ceiling of 100, `speedup` times faster than the peer.
Result made_up(const std::string& group, double fraction, double speedup, DType dtype,
               std::int64_t seqlen = 4096, bool causal = false) {
  Result r;
  r.bench_case = {.group = group,
                  .dtype = dtype,
                  .heads = 4,
                  .kv_heads = 4,
                  .seqlen = seqlen,
                  .head_dim = 64,
                  .causal = causal};
  r.ours.median_ms = 1;
  r.theirs.median_ms = speedup;
  r.work = fraction * 100 * 1e6;
  r.unit = "GFLOP/s";
  r.ceiling = "fma_avx512";
  r.ceilings = {{"fma_avx512", 100.0}};
  return r;
}

Result forward(double fraction, double speedup, std::int64_t seqlen = 4096, bool causal = false) {
  return made_up("exact_forward", fraction, speedup, DType::kFloat32, seqlen, causal);
}

TEST(Summary, GeometricMean) {
  const std::vector<double> values = {1, 4, 16};
  EXPECT_DOUBLE_EQ(geometric_mean(values), 4);
}

TEST(Summary, GroupsByTarget) {
  const std::vector<Result> results = {
      forward(0.9, 2), made_up("exact_backward", 0.9, 2, DType::kFloat32), forward(0.8, 0.5)};
  const auto groups = summarize(results);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].group, "exact_forward float32");
  EXPECT_EQ(groups[0].cases, 2);
  EXPECT_DOUBLE_EQ(groups[0].mean_speedup(), 1);
  EXPECT_EQ(groups[1].group, "exact_backward float32 d64");
}

TEST(Summary, ShortAndMaskedForwardCountForSpeedOnly) {
  const std::vector<Result> results = {forward(0.9, 2), forward(0.1, 2, 1024),
                                       forward(0.2, 2, 4096, true)};
  const auto groups = summarize(results);
  ASSERT_EQ(groups[0].fractions.size(), 1u);
  EXPECT_DOUBLE_EQ(groups[0].mean_fraction(), 0.9);
  EXPECT_EQ(groups[0].speedups.size(), 3u);
}

TEST(Summary, PassNeedsBothTargets) {
  const auto passes = [](double fraction, double speedup) {
    const std::vector<Result> results = {forward(fraction, speedup)};
    return summarize(results)[0].passes();
  };
  EXPECT_TRUE(passes(0.86, 1.41));
  EXPECT_FALSE(passes(0.84, 1.41));
  EXPECT_FALSE(passes(0.86, 1.39));
}

TEST(Summary, ATargetThatNothingWasMeasuredForIsNotReached) {
  const std::vector<Result> results = {forward(0.9, 2, 1024)};
  EXPECT_FALSE(summarize(results)[0].passes());
}

TEST(Summary, AnErrorFailsItsGroup) {
  std::vector<Result> results = {forward(0.9, 2), forward(0.9, 2)};
  results[1].error = "[bench] results differ";
  const auto groups = summarize(results);
  EXPECT_EQ(groups[0].errors, 1);
  EXPECT_EQ(groups[0].speedups.size(), 1u);
  EXPECT_FALSE(groups[0].passes());
  EXPECT_THAT(summary_table(groups), HasSubstr("1 ERRORS"));
  EXPECT_THAT(case_table(results), HasSubstr("results differ"));
}

TEST(Summary, TablesShowTheNumbers) {
  const std::vector<Result> results = {forward(0.9, 2)};
  const auto groups = summarize(results);
  EXPECT_THAT(summary_table(groups), HasSubstr("90.0 % (least 90.0 %)"));
  EXPECT_THAT(summary_table(groups), HasSubstr("2.00x (least 2.00x)"));
  EXPECT_THAT(summary_table(groups), HasSubstr("PASS\n"));
  EXPECT_THAT(summary_table(groups), Not(HasSubstr("below")));
  EXPECT_THAT(case_table(results), HasSubstr("90.0 GFLOP/s"));
}

TEST(Summary, BothBfloat16CeilingsAreShown) {
  Result r = made_up("exact_forward", 0.9, 2, DType::kBFloat16);
  r.ceilings["tdpbf16ps"] = 1000;
  const std::vector<Result> results = {r};
  EXPECT_THAT(summary_table(summarize(results)), HasSubstr("9.0 %"));
}

}  // namespace
}  // namespace attnlab::bench
