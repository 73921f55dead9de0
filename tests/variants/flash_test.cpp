#include "variants/flash/flash.h"

#include <cmath>

#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

using test::expect_values;

TEST(Flash, TwoKeysByHand) {
  const Inputs inputs{
      .q = test::column({1}), .k = test::column({std::log(3.0f), 0}), .v = test::column({8, 4})};
  const Outputs outputs = test::make("flash")->forward(inputs);
  expect_values(outputs.out, {7});
  ASSERT_TRUE(outputs.lse.has_value());
  expect_values(*outputs.lse, {std::log(4.0)});  // e^(ln 3) + e^0 = 4
  EXPECT_FALSE(outputs.weights.has_value());
}

TEST(Flash, CausalWithZeroScoresIsTheRunningMean) {
  const Inputs inputs{.q = at::zeros({3, 1}),
                      .k = test::column({5, -2, 9}),
                      .v = test::column({3, 6, 12}),
                      .causal = true};
  const Outputs outputs = test::make("flash")->forward(inputs);
  expect_values(outputs.out, {3, 4.5, 7});
  expect_values(*outputs.lse, {0, std::log(2.0), std::log(3.0)});
}

TEST(Flash, AgreesWithFullOverManyTiles) {
  for (const bool causal : {false, true}) {
    const Inputs inputs = test::normal_inputs(1, 2, 401, 40, causal);
    EXPECT_LT(test::max_difference(test::make("flash")->forward(inputs).out,
                                   test::make("full")->forward(inputs).out),
              5e-6);
  }
}

TEST(Flash, LogSumExpMatchesTheWeightsOfFull) {
  const Inputs inputs = test::normal_inputs(1, 1, 70, 16, true);
  const Outputs flash = test::make("flash")->forward(inputs);
  const at::Tensor weights = *test::make("full")->forward(inputs).weights;
  // On the diagonal: weight = exp(score - lse).
  const at::Tensor score = (inputs.q * inputs.k).sum(-1) * 0.25;
  EXPECT_LT(test::max_difference((score - *flash.lse).exp(), weights.diagonal(0, 2, 3)), 1e-5);
}

TEST(Flash, MemoryOfThePlanIsLinearInTheLength) {
  const auto variant = test::make("flash");
  for (const Direction direction : {Direction::kForward, Direction::kForwardBackward}) {
    Problem problem;
    problem.direction = direction;
    problem.heads = problem.kv_heads = 4;
    problem.seqlen_q = problem.seqlen_k = 16384;
    const auto shorter = static_cast<double>(variant->plan(problem).predicted_bytes());
    problem.seqlen_q = problem.seqlen_k = 32768;
    const auto longer = static_cast<double>(variant->plan(problem).predicted_bytes());
    EXPECT_LE(longer / shorter, 2.0);
    EXPECT_GT(longer / shorter, 1.8);
  }
}

TEST(Flash, SaysWhyItRefusesALargeHeadDim) {
  Problem problem;
  problem.head_dim = 257;
  const Support support = test::make("flash")->supports(problem);
  EXPECT_FALSE(support.ok);
  EXPECT_NE(support.reason.find("head_dim is 257"), std::string::npos) << support.reason;
}

}  // namespace
}  // namespace attnlab
