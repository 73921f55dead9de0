#include "variants/full/full.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/matmul.h>

#include <cmath>

#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

using test::expect_values;

// softmax(Q K^T / sqrt(d)) V with plain loops in double: shares nothing with Torch or the kernels.
std::pair<std::vector<double>, std::vector<double>> textbook(const at::Tensor& q,
                                                             const at::Tensor& k,
                                                             const at::Tensor& v) {
  const std::int64_t n = q.size(0), d = q.size(1);
  const auto at = [](const at::Tensor& t, std::int64_t i, std::int64_t j) {
    return static_cast<double>(t[i][j].item<float>());
  };
  std::vector<double> out(n * d, 0.0), weights(n * n);
  for (std::int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      double dot = 0;
      for (std::int64_t c = 0; c < d; ++c) dot += at(q, i, c) * at(k, j, c);
      weights[i * n + j] = std::exp(dot / std::sqrt(static_cast<double>(d)));
      sum += weights[i * n + j];
    }
    for (std::int64_t j = 0; j < n; ++j) {
      weights[i * n + j] /= sum;
      for (std::int64_t c = 0; c < d; ++c) out[i * d + c] += weights[i * n + j] * at(v, j, c);
    }
  }
  return {out, weights};
}

TEST(Full, WorkedExampleWithoutBatchOrHeadsGivesOutputAndWeights) {
  const at::Tensor q = at::tensor({1.f, 0.f, 1.f, 0.f, 2.f, 0.f, 1.f, 1.f, 1.f, 0.f, 0.f, 1.f});
  const at::Tensor k = at::tensor({0.f, 1.f, 1.f, 4.f, 4.f, 0.f, 2.f, 3.f, 1.f, 1.f, 0.f, 2.f});
  const at::Tensor v = at::tensor({1.f, 2.f, 3.f, 2.f, 8.f, 0.f, 2.f, 6.f, 3.f, 0.f, 1.f, 5.f});
  const Inputs inputs{.q = q.view({4, 3}), .k = k.view({4, 3}), .v = v.view({4, 3})};
  const Outputs outputs = test::make("full")->forward(inputs);
  ASSERT_TRUE(outputs.weights.has_value());
  EXPECT_EQ(outputs.out.sizes(), (std::vector<std::int64_t>{4, 3}));
  EXPECT_EQ(outputs.weights->sizes(), (std::vector<std::int64_t>{4, 4}));
  const auto [out, weights] = textbook(inputs.q, inputs.k, inputs.v);
  expect_values(outputs.out, out, 2e-6);
  expect_values(*outputs.weights, weights);
}

TEST(Full, TwoKeysByHand) {
  // Scores ln 3 and 0 make weights 3/4 and 1/4.
  const Inputs inputs{
      .q = test::column({1}), .k = test::column({std::log(3.0f), 0}), .v = test::column({8, 4})};
  const Outputs outputs = test::make("full")->forward(inputs);
  expect_values(*outputs.weights, {0.75, 0.25});
  expect_values(outputs.out, {7});
}

TEST(Full, CausalWithZeroScoresIsTheRunningMean) {
  const Inputs inputs{.q = at::zeros({3, 1}),
                      .k = test::column({5, -2, 9}),
                      .v = test::column({3, 6, 12}),
                      .causal = true};
  const Outputs outputs = test::make("full")->forward(inputs);
  expect_values(outputs.out, {3, 4.5, 7});
  expect_values(*outputs.weights, {1, 0, 0, 0.5, 0.5, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3});
}

TEST(Full, CausalIsBottomRightAligned) {
  // Two queries at the end of three keys: they see 2 and 3 of them.
  const Inputs inputs{.q = at::zeros({2, 1}),
                      .k = test::column({1, 1, 1}),
                      .v = test::column({3, 6, 12}),
                      .causal = true};
  expect_values(test::make("full")->forward(inputs).out, {4.5, 7});
}

TEST(Full, WeightsAreDifferentiable) {
  Inputs inputs = test::normal_inputs(1, 1, 4, 3, false);
  inputs.q.requires_grad_(true);
  test::make("full")->forward(inputs).weights->select(3, 0).sum().backward();
  ASSERT_TRUE(inputs.q.grad().defined());
  EXPECT_GT(inputs.q.grad().abs().max().item<float>(), 1e-3);
}

TEST(Full, PlanCountsTheStoredScores) {
  Problem problem;
  problem.heads = problem.kv_heads = 2;
  problem.seqlen_q = problem.seqlen_k = 1000;
  const std::int64_t square = 2 * 1000 * 1000 * 4;
  const auto variant = test::make("full");
  const Plan forward = variant->plan(problem);
  EXPECT_EQ(forward.saved_bytes, 0);
  EXPECT_GE(forward.workspace_bytes, square);
  EXPECT_LT(forward.workspace_bytes, square + square / 20);
  problem.direction = Direction::kForwardBackward;
  const Plan both = variant->plan(problem);
  EXPECT_EQ(both.saved_bytes, square);
  EXPECT_GE(both.workspace_bytes, square);
  EXPECT_LT(both.workspace_bytes, square + square / 20);
}

}  // namespace
}  // namespace attnlab
