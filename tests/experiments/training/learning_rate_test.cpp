#include "experiments/training/learning_rate.h"

#include <gtest/gtest.h>

namespace attnlab::training {
namespace {

TEST(LearningRate, RisesLinearlyThenFallsAsACosine) {
  // 20 steps, of which 4 rise: 1/4, 2/4, 3/4, 4/4, then cos from 1 to 0 over 16.
  EXPECT_DOUBLE_EQ(learning_rate(0, 20, 0.2, 0.8), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate(3, 20, 0.2, 0.8), 0.8);
  EXPECT_DOUBLE_EQ(learning_rate(4, 20, 0.2, 0.8), 0.8);
  EXPECT_NEAR(learning_rate(12, 20, 0.2, 0.8), 0.4, 1e-15);
  EXPECT_NEAR(learning_rate(16, 20, 0.2, 0.8), 0.8 * 0.5 * (1 - 0.70710678118654752), 1e-15);
}

TEST(LearningRate, WithoutWarmupOrWithNothingElse) {
  EXPECT_DOUBLE_EQ(learning_rate(0, 5, 0, 1), 1);
  EXPECT_DOUBLE_EQ(learning_rate(0, 4, 1, 1), 0.25);
  EXPECT_DOUBLE_EQ(learning_rate(3, 4, 1, 1), 1);
}

}  // namespace
}  // namespace attnlab::training
