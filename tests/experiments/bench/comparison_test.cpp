#include "experiments/bench/comparison.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace attnlab::bench {
namespace {

TEST(Comparison, RelativeL2IsOfTheWorstTensor) {
  const at::Tensor ones = at::ones({4});
  at::Tensor off = ones.clone();
  off[0] = 3.0;  // difference of norm 2 beside a norm of 2
  EXPECT_DOUBLE_EQ(relative_l2({ones, off}, {ones, ones}), 1);
  EXPECT_DOUBLE_EQ(relative_l2({ones}, {ones}), 0);
}

TEST(Comparison, NothingAgreesWithNanOrWithOtherCounts) {
  const at::Tensor ones = at::ones({4});
  const at::Tensor nan = ones * std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isinf(relative_l2({nan}, {ones})));
  EXPECT_TRUE(std::isinf(relative_l2({ones}, {nan})));
  EXPECT_TRUE(std::isinf(relative_l2({ones}, {ones, ones})));
}

TEST(Comparison, BackwardSidesGiveThreeGradients) {
  for (const BenchCase& c : smoke_cases({1})) {
    if (!c.is_backward()) continue;
    const Comparison comparison = make_comparison(c);
    EXPECT_EQ(comparison.ours.run().size(), 3u) << case_name(c);
    EXPECT_EQ(comparison.ours.run().size(), 3u) << "the graph must live on: " << case_name(c);
    EXPECT_EQ(comparison.peers.front().run().size(), 3u) << case_name(c);
    break;
  }
}

TEST(Comparison, LinearAttentionHasSixOpponents) {
  for (const BenchCase& c : smoke_cases({1})) {
    if (c.op == Op::kLinear) {
      EXPECT_EQ(make_comparison(c).peers.size(), 6u);
    }
  }
}

}  // namespace
}  // namespace attnlab::bench
