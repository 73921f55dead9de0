#include "analysis/statistics.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace attnlab::analysis {
namespace {

const std::vector<double> kSeven = {3.1, 1.2, 9.7, 4.4, 2.2, 8.0, 5.5};

// By hand from the definition: position = p (n - 1) in the sorted samples, linear in between.
TEST(StatisticsTest, QuantilesAreOfType7) {
  EXPECT_DOUBLE_EQ(quantile(kSeven, 0), 1.2);
  EXPECT_DOUBLE_EQ(quantile(kSeven, 0.1), 1.8);
  EXPECT_DOUBLE_EQ(quantile(kSeven, 0.25), 2.65);
  EXPECT_DOUBLE_EQ(quantile(kSeven, 0.333), 3.0982);
  EXPECT_DOUBLE_EQ(quantile(kSeven, 0.5), 4.4);
  EXPECT_DOUBLE_EQ(quantile(kSeven, 0.9), 8.68);
  EXPECT_DOUBLE_EQ(quantile(kSeven, 1), 9.7);
}

TEST(StatisticsTest, MedianOfEvenCountIsTheMean) {
  EXPECT_DOUBLE_EQ(median(std::vector<double>{7, 1, 4, 2}), 3);
  EXPECT_DOUBLE_EQ(median(std::vector<double>{5}), 5);
}

TEST(StatisticsTest, RefusesNoSamplesAndBadProbabilities) {
  EXPECT_THROW(median({}), std::invalid_argument);
  EXPECT_THROW(quantile(kSeven, 1.5), std::invalid_argument);
  EXPECT_THROW(quantile(kSeven, -0.1), std::invalid_argument);
}

TEST(StatisticsTest, IntervalHoldsTheMedianAndRepeats) {
  const Interval first = median_interval(kSeven);
  const Interval second = median_interval(kSeven);
  EXPECT_EQ(first.low, second.low);
  EXPECT_EQ(first.high, second.high);
  EXPECT_LE(first.low, 4.4);
  EXPECT_GE(first.high, 4.4);
  EXPECT_LT(first.low, first.high);
  const Interval narrow = median_interval(kSeven, 0.5);
  EXPECT_GE(narrow.low, first.low);
  EXPECT_LE(narrow.high, first.high);
}

// The bootstrap distribution of the median of {0, 1, 2}: each value v is the median of 3 draws with
// P(0) = P(2) = 7/27, P(1) = 13/27. So the 50% interval [q25, q75] is [0, 2]; the 40% one is [1,
// 1].
TEST(StatisticsTest, IntervalFollowsTheExactDistribution) {
  const std::vector<double> samples = {0, 1, 2};
  const Interval more = median_interval(samples, 0.6);
  EXPECT_EQ(more.low, 0);
  EXPECT_EQ(more.high, 2);
  const Interval less = median_interval(samples, 0.4);
  EXPECT_EQ(less.low, 1);
  EXPECT_EQ(less.high, 1);
}

TEST(StatisticsTest, EqualSamplesHaveAnIntervalWithoutWidth) {
  const Interval interval = median_interval(std::vector<double>(5, 2.5));
  EXPECT_EQ(interval.low, 2.5);
  EXPECT_EQ(interval.high, 2.5);
  EXPECT_THROW(median_interval(std::vector<double>{1}), std::invalid_argument);
}

TEST(StatisticsTest, SlopeOfAPowerIsItsExponent) {
  const std::vector<double> x = {128, 256, 512};
  EXPECT_NEAR(
      log_log_slope(x, std::vector<double>{3 * 128.0 * 128, 3 * 256.0 * 256, 3 * 512.0 * 512}), 2,
      1e-12);
  // In units of log 2: x = 0 1 2, y = 0 1 4; slope (5/3 + 7/3) / 2.
  EXPECT_NEAR(log_log_slope(std::vector<double>{1, 2, 4}, std::vector<double>{1, 2, 16}), 2, 1e-12);
  EXPECT_NEAR(log_log_slope(x, std::vector<double>{7, 7, 7}), 0, 1e-12);
}

TEST(StatisticsTest, SlopeRefusesWhatHasNone) {
  const std::vector<double> one = {1};
  const std::vector<double> two = {2, 2};
  EXPECT_THROW(log_log_slope(one, one), std::invalid_argument);
  EXPECT_THROW(log_log_slope(two, two), std::invalid_argument);
  EXPECT_THROW(log_log_slope(one, two), std::invalid_argument);
  EXPECT_THROW(log_log_slope(std::vector<double>{1, 2}, std::vector<double>{0, 2}),
               std::invalid_argument);
}

}  // namespace
}  // namespace attnlab::analysis
