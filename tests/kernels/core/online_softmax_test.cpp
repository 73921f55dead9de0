#include "kernels/core/online_softmax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace attnlab {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

OnlineSoftmax<double> of(const std::vector<double>& scores) {
  OnlineSoftmax<double> softmax;
  for (const double s : scores) {
    softmax.update(s);
    softmax.add(std::exp2(s - softmax.reference()));
  }
  return softmax;
}

double direct_lse(const std::vector<double>& scores) {
  double sum = 0.0;
  for (const double s : scores) sum += std::exp2(s);
  return std::log(sum);
}

TEST(OnlineSoftmax, StreamEqualsDirectSum) {
  const std::vector<double> scores = {0.5, -3.0, 7.25, 7.0, 2.0};
  EXPECT_NEAR(of(scores).finish(), direct_lse(scores), 1e-14);
}

TEST(OnlineSoftmax, MergeEqualsOneStreamWhereverItIsCut) {
  std::mt19937 generator(3);
  std::normal_distribution<double> normal(0.0, 20.0);
  std::vector<double> scores(17);
  std::generate(scores.begin(), scores.end(), [&] { return normal(generator); });
  for (std::size_t cut = 0; cut <= scores.size(); ++cut) {
    const auto at = scores.begin() + static_cast<std::ptrdiff_t>(cut);
    OnlineSoftmax<double> left = of({scores.begin(), at});
    const OnlineSoftmax<double> right = of({at, scores.end()});
    const double left_sum = left.row_sum;
    double right_factor = 0.0;
    const double left_factor = left.merge(right, &right_factor);
    EXPECT_NEAR(left.finish(), of(scores).finish(), 1e-13);
    EXPECT_NEAR(left.row_sum, left_sum * left_factor + right.row_sum * right_factor, 1e-13);
  }
}

TEST(OnlineSoftmax, FactorRescalesWhatCameBefore) {
  OnlineSoftmax<float> softmax;
  softmax.update(1.0f);
  softmax.add(1.0f);
  EXPECT_EQ(softmax.update(4.0f), 0.125f);
  EXPECT_EQ(softmax.row_sum, 0.125f);
  EXPECT_EQ(softmax.update(2.0f), 1.0f);
}

TEST(OnlineSoftmax, EmptyRow) {
  OnlineSoftmax<float> softmax;
  EXPECT_EQ(softmax.finish(), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(softmax.normalizer(), 0.0f);
  EXPECT_EQ(softmax.reference(), 0.0f);
  EXPECT_EQ(softmax.update(-std::numeric_limits<float>::infinity()), 0.0f);
  softmax.add(std::exp2(-std::numeric_limits<float>::infinity() - softmax.reference()));
  EXPECT_EQ(softmax.finish(), -std::numeric_limits<float>::infinity());
}

TEST(OnlineSoftmax, EmptyIsNeutralInMerge) {
  OnlineSoftmax<double> some = of({3.0, 1.0});
  const double before = some.finish();
  double other_factor = -1.0;
  EXPECT_EQ(some.merge({}, &other_factor), 1.0);
  EXPECT_EQ(other_factor, 0.0);
  EXPECT_EQ(some.finish(), before);
  OnlineSoftmax<double> empty;
  empty.merge(some, &other_factor);
  EXPECT_EQ(other_factor, 1.0);
  EXPECT_EQ(empty.finish(), before);
}

TEST(OnlineSoftmax, MinusInfinityAmongFiniteScoresAddsNothing) {
  EXPECT_NEAR(of({-kInfinity, 2.0, -kInfinity}).finish(), 2.0 * kLn2, 1e-15);
}

TEST(OnlineSoftmax, NanShows) {
  EXPECT_TRUE(std::isnan(of({1.0, std::nan(""), 2.0}).finish()));
  EXPECT_TRUE(std::isnan(of({1.0, kInfinity}).finish()));
}

}  // namespace
}  // namespace attnlab
