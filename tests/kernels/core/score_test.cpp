#include "kernels/core/score.h"

#include <gtest/gtest.h>

#include "kernels/core/dispatch.h"

namespace attnlab {
namespace {

TEST(Score, PlainIsTheIdentity) {
  const PlainScore score{0.5};
  EXPECT_EQ(score.score(3.0, 7.0), 3.0);
  EXPECT_EQ(score.derivative(3.0), 1.0);
}

TEST(Score, SoftcapThenAlibi) {
  const GeneralScore score{1.0, 10.0, 0.25};
  EXPECT_DOUBLE_EQ(score.score(4.0, 8.0), 10.0 * std::tanh(0.4) - 2.0);
  EXPECT_LT(score.score(1e6, 0.0), 10.0 + 1e-12);
}

TEST(Score, GeneralWithoutOptionsIsTheIdentity) {
  const GeneralScore score{1.0, 0.0, 0.0};
  EXPECT_EQ(score.score(-4.5, 8.0), -4.5);
  EXPECT_EQ(score.derivative(-4.5), 1.0);
}

TEST(Score, DerivativeEqualsFiniteDifference) {
  for (const double softcap : {0.0, 1.5, 30.0}) {
    const GeneralScore score{1.0, softcap, 0.5};
    for (double x = -6.0; x <= 6.0; x += 0.37) {
      constexpr double kStep = 1e-5;
      const double difference =
          (score.score(x + kStep, 3.0) - score.score(x - kStep, 3.0)) / (2.0 * kStep);
      EXPECT_NEAR(score.derivative(x), difference, 1e-8);
    }
  }
}

TEST(Score, SlopesOfHeadsAndBatch) {
  const float slopes[] = {0.5f, 0.25f, 2.0f, 1.0f};
  ScoreOptions options;
  EXPECT_TRUE(is_plain(options));
  options.alibi_slopes = slopes;
  options.alibi_batch_stride = 2;
  options.alibi_head_stride = 1;
  EXPECT_FALSE(is_plain(options));
  EXPECT_EQ(general_score(options, 1, 0).slope, 2.0);
  EXPECT_EQ(make_score<GeneralScore>(options, 0, 1).slope, 0.25);
}

TEST(Dispatch, EveryDtypeReachesItsType) {
  for (const DType dtype : kDTypes) {
    const auto size =
        dispatch_dtype(dtype, [](auto tag) { return sizeof(typename decltype(tag)::type); });
    EXPECT_EQ(static_cast<std::int64_t>(size), element_size(dtype));
    const auto accumulator = dispatch_dtype(
        dtype, [](auto tag) { return sizeof(Accumulator<typename decltype(tag)::type>); });
    EXPECT_EQ(static_cast<std::int64_t>(accumulator), accumulator_size(dtype));
  }
}

}  // namespace
}  // namespace attnlab
