#include "variants/linear/linear.h"

#include <gmock/gmock.h>

#include <cmath>

#include "kernels/core/error.h"
#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

using test::expect_values;

std::unique_ptr<Variant> linear(const std::string& feature_map, bool normalize = true) {
  return test::make("linear", {{"feature_map", feature_map}, {"normalize", normalize}});
}

TEST(Linear, EluOfZeroIsOneSoTheOutputIsTheRunningMean) {
  const Inputs inputs{.q = at::zeros({3, 1}),
                      .k = at::zeros({3, 1}),
                      .v = test::column({3, 6, 12}),
                      .causal = true};
  expect_values(linear("elu")->forward(inputs).out, {3, 4.5, 7});
}

TEST(Linear, EluByHand) {
  // phi(k) = 1 + 1 = 2 and e^(-ln 2) = 1/2: weights 4/5 and 1/5 for the last query.
  const Inputs inputs{.q = at::zeros({2, 1}),
                      .k = test::column({1, -std::log(2.0f)}),
                      .v = test::column({10, 5}),
                      .causal = false};
  expect_values(linear("elu")->forward(inputs).out, {9, 9}, 2e-6);
}

TEST(Linear, IdentityWithoutNormaliserIsTheLinearRecurrence) {
  const Inputs inputs{.q = test::column({1, 2, -1}),
                      .k = test::column({3, 1, 2}),
                      .v = test::column({1, 4, 5}),
                      .causal = true};
  // States 3, 7, 17 times q.
  expect_values(linear("identity", false)->forward(inputs).out, {3, 14, -17});
}

TEST(Linear, ReluWithZeroDenominatorGivesZero) {
  const Inputs inputs{.q = test::column({-1, 1, 1}),
                      .k = test::column({-3, -1, 2}),
                      .v = test::column({1, 4, 5}),
                      .causal = true};
  expect_values(linear("relu")->forward(inputs).out, {0, 0, 5});
}

TEST(Linear, NotCausalTakesCrossLengths) {
  const Inputs inputs{.q = at::zeros({2, 1}),
                      .k = at::zeros({4, 1}),
                      .v = test::column({1, 2, 3, 6}),
                      .causal = false};
  expect_values(linear("elu")->forward(inputs).out, {3, 3});
}

TEST(Linear, CausalRefusesCrossLengths) {
  Problem problem;
  problem.causal = true;
  problem.seqlen_q = 3;
  problem.seqlen_k = 5;
  const Support support = linear("elu")->supports(problem);
  EXPECT_FALSE(support.ok);
  EXPECT_THAT(support.reason, ::testing::HasSubstr("(got 3 and 5)"));
}

TEST(Linear, UnknownFeatureMapNamesTheNearest) {
  try {
    linear("elv");
    FAIL() << "elv was accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("Did you mean 'elu'?"));
  }
}

TEST(Linear, WorkspaceDoesNotGrowWithTheLength) {
  Problem problem;
  problem.causal = true;
  problem.heads = problem.kv_heads = 4;
  problem.seqlen_q = problem.seqlen_k = 4096;
  const std::int64_t at_4k = linear("elu")->plan(problem).workspace_bytes;
  problem.seqlen_q = problem.seqlen_k = 65536;
  EXPECT_EQ(linear("elu")->plan(problem).workspace_bytes, at_4k);
}

}  // namespace
}  // namespace attnlab
