#include "variants/sliding_window/sliding_window.h"

#include <ATen/ops/equal.h>
#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

using test::expect_values;
using ::testing::HasSubstr;

std::unique_ptr<Variant> window(std::int64_t keys) {
  return test::make("sliding_window", {{"window", keys}});
}

Inputs zero_scores(bool causal) {
  return {.q = at::zeros({4, 1}),
          .k = test::column({5, -2, 9, 1}),
          .v = test::column({3, 6, 12, 0}),
          .causal = causal};
}

TEST(SlidingWindow, WindowZeroSeesOnlyItself) {
  expect_values(window(0)->forward(zero_scores(true)).out, {3, 6, 12, 0});
  expect_values(window(0)->forward(zero_scores(false)).out, {3, 6, 12, 0});
}

TEST(SlidingWindow, CausalWindowOneIsTheMeanOfTwo) {
  expect_values(window(1)->forward(zero_scores(true)).out, {3, 4.5, 9, 6});
}

TEST(SlidingWindow, TwoSidedWindowOneIsTheMeanOfThree) {
  expect_values(window(1)->forward(zero_scores(false)).out, {4.5, 7, 6, 6});
}

TEST(SlidingWindow, EqualsFlashBitForBitWhereTheWindowCoversTheSequence) {
  for (const bool causal : {false, true}) {
    const std::int64_t n = 333;
    Inputs ours = test::normal_inputs(2, 2, n, 48, causal);
    Inputs theirs = ours;
    for (Inputs* inputs : {&ours, &theirs}) {
      for (at::Tensor* tensor : {&inputs->q, &inputs->k, &inputs->v}) {
        *tensor = tensor->clone().requires_grad_(true);
      }
    }
    const Outputs windowed = window(n - 1)->forward(ours);
    const Outputs flash = test::make("flash")->forward(theirs);
    EXPECT_TRUE(at::equal(windowed.out, flash.out)) << "causal " << causal;
    EXPECT_TRUE(at::equal(*windowed.lse, *flash.lse));
    windowed.out.square().sum().backward();
    flash.out.square().sum().backward();
    EXPECT_TRUE(at::equal(ours.q.grad(), theirs.q.grad()));
    EXPECT_TRUE(at::equal(ours.k.grad(), theirs.k.grad()));
    EXPECT_TRUE(at::equal(ours.v.grad(), theirs.v.grad()));
  }
}

TEST(SlidingWindow, OneKeyLessIsNotTheSame) {
  const Inputs inputs = test::normal_inputs(1, 1, 64, 16, true);
  EXPECT_FALSE(
      at::equal(window(62)->forward(inputs).out, test::make("flash")->forward(inputs).out));
}

TEST(SlidingWindow, CountsOnlyVisiblePairs) {
  Problem problem;
  problem.causal = true;
  problem.head_dim = problem.head_dim_v = 2;
  problem.seqlen_q = problem.seqlen_k = 10;
  // Rows see 1, 2, 3, 3, ... keys: 27 pairs; 2 products of 2 flops over head_dim 2.
  EXPECT_DOUBLE_EQ(window(2)->plan(problem).flops, 27 * 2 * 4);
}

TEST(SlidingWindow, RefusesANegativeWindow) {
  try {
    window(-1);
    FAIL() << "window -1 was accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'window' is -1"));
    EXPECT_THAT(error.what(), HasSubstr("at least 0"));
  }
}

}  // namespace
}  // namespace attnlab
