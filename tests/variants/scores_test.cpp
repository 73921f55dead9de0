// The score functions of `full` against the papers' formulas in plain loops of double.
#include "variants/full/scores.h"

#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>

#include "kernels/core/error.h"
#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

using Row = std::vector<double>;
using Matrix = std::vector<Row>;

Matrix rows_of(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kDouble).contiguous();
  Matrix rows(static_cast<std::size_t>(wide.size(0)));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double* row = wide.data_ptr<double>() + static_cast<std::int64_t>(i) * wide.size(1);
    rows[i].assign(row, row + wide.size(1));
  }
  return rows;
}

double dot(const Row& a, const Row& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Row times(const Matrix& matrix, const Row& x) {
  Row result;
  for (const Row& row : matrix) result.push_back(dot(row, x));
  return result;
}

/// Weights of one causal head, from the score of a query and a key.
Row causal_weights(const Matrix& q, const Matrix& k,
                   const std::function<double(const Row&, const Row&)>& score) {
  Row weights;
  for (std::size_t i = 0; i < q.size(); ++i) {
    Row row(k.size(), 0.0);
    double sum = 0;
    for (std::size_t j = 0; j <= i; ++j) sum += row[j] = std::exp(score(q[i], k[j]));
    for (const double weight : row) weights.push_back(weight / sum);
  }
  return weights;
}

constexpr std::int64_t kSeqlen = 5, kDim = 4;

struct Case {
  Inputs inputs = test::normal_inputs(1, 1, kSeqlen, kDim, /*causal=*/true);
  Matrix q = rows_of(inputs.q[0][0]), k = rows_of(inputs.k[0][0]);
};

void expect_weights(const std::string& score, const Case& c,
                    const std::function<double(const Row&, const Row&)>& formula) {
  const auto variant = test::make("full", {{"score", score}});
  const Row expected = causal_weights(c.q, c.k, formula);
  test::expect_values(*variant->forward(c.inputs).weights, expected, 2e-6);
  test::expect_values(variant->weights(c.inputs), expected, 2e-6);
}

TEST(Scores, DotHasNoScale) { expect_weights("dot", {}, dot); }

TEST(Scores, CosineIsTenTimesTheCosine) {
  expect_weights("cosine", {}, [](const Row& q, const Row& k) {
    return 10 * dot(q, k) / std::sqrt(dot(q, q) * dot(k, k));
  });
}

TEST(Scores, RbfFallsWithTheSquaredDistance) {
  expect_weights("rbf", {}, [](const Row& q, const Row& k) {
    double squares = 0;
    for (std::size_t i = 0; i < q.size(); ++i) squares += (q[i] - k[i]) * (q[i] - k[i]);
    return -squares / (2 * std::sqrt(static_cast<double>(kDim)));
  });
}

TEST(Scores, GeneralIsABilinearForm) {
  Case c;
  c.inputs.extra["score_weight"] = test::normal({1, kDim, kDim}, 11);
  const Matrix w = rows_of(c.inputs.extra["score_weight"][0]);
  expect_weights("general", c, [&](const Row& q, const Row& k) {
    return dot(q, times(w, k)) / std::sqrt(static_cast<double>(kDim));
  });
}

TEST(Scores, AdditiveIsASmallNetworkOfQueryAndKey) {
  Case c;
  c.inputs.extra = {{"score_query", test::normal({1, kDim, kDim}, 12)},
                    {"score_key", test::normal({1, kDim, kDim}, 13)},
                    {"score_vector", test::normal({1, kDim}, 14)}};
  const Matrix of_query = rows_of(c.inputs.extra["score_query"][0]);
  const Matrix of_key = rows_of(c.inputs.extra["score_key"][0]);
  const Row vector = rows_of(c.inputs.extra["score_vector"])[0];
  expect_weights("additive", c, [&](const Row& q, const Row& k) {
    Row hidden = times(of_query, q);
    const Row key = times(of_key, k);
    for (std::size_t i = 0; i < hidden.size(); ++i) hidden[i] = std::tanh(hidden[i] + key[i]);
    return dot(vector, hidden);
  });
}

TEST(Scores, AGivenScaleReplacesTheDefault) {
  Case c;
  c.inputs.scale = 0.25;
  expect_weights("cosine", c, [](const Row& q, const Row& k) {
    return 0.25 * dot(q, k) / std::sqrt(dot(q, q) * dot(k, k));
  });
}

TEST(Scores, AVectorOfZerosFitsNoKeyBetterThanAnother) {
  Case c;
  c.inputs.q = at::zeros_like(c.inputs.q).requires_grad_(true);
  const Outputs outputs = test::make("full", {{"score", std::string("cosine")}})->forward(c.inputs);
  test::expect_values(outputs.weights->detach()[0][0][1].narrow(0, 0, 2), {0.5, 0.5});
  outputs.out.sum().backward();
  EXPECT_TRUE(at::isfinite(c.inputs.q.grad()).all().item<bool>());
}

TEST(Scores, SixteenBitRbfKeepsTheScoresOfLongKeys) {
  // |k|^2 / 2 is 32 +- 16 here; rounded once to bfloat16 (steps of 1/8 to 1/4) it would move
  // weights by tens of percent at this scale.
  Problem problem;
  Inputs inputs = test::normal_inputs(1, 1, 64, 64, /*causal=*/false);
  for (at::Tensor* tensor : {&inputs.q, &inputs.k, &inputs.v}) *tensor = tensor->to(at::kBFloat16);
  inputs.scale = 1.0;
  const auto variant = test::make("full", {{"score", std::string("rbf")}});
  const at::Tensor weights = variant->forward(inputs).weights->to(at::kDouble);
  Inputs exact = inputs;
  for (at::Tensor* tensor : {&exact.q, &exact.k, &exact.v}) *tensor = tensor->to(at::kDouble);
  const at::Tensor expected = variant->weights(exact);
  const double error = ((weights - expected).norm() / expected.norm()).item<double>();
  // Scores are sums of products in float32; rounding the weights leaves 2^-9, the low part of
  // |k|^2 / 2 at most 2^-9 of the step 2^-3.
  EXPECT_LT(error, 4.0 / 512);
}

TEST(Scores, RbfRefusesHeadsWithoutRoomForItsColumn) {
  Problem problem;
  problem.head_dim = 256;
  const auto rbf = test::make("full", {{"score", std::string("rbf")}});
  EXPECT_THAT(rbf->supports(problem).reason, ::testing::HasSubstr("1 to 255"));
  EXPECT_TRUE(test::make("full")->supports(problem).ok);
  problem.head_dim = 255;
  EXPECT_TRUE(rbf->supports(problem).ok);
  problem.dtype = at::kBFloat16;
  EXPECT_THAT(rbf->supports(problem).reason, ::testing::HasSubstr("1 to 254"));
}

TEST(Scores, CosineRefusesHeadsOfOneElement) {
  Problem problem;
  problem.head_dim = 1;
  const auto cosine = test::make("full", {{"score", std::string("cosine")}});
  EXPECT_THAT(cosine->supports(problem).reason, ::testing::HasSubstr("takes 2 or more"));
}

TEST(Scores, AnUnknownScoreNamesTheNearest) {
  try {
    test::make("full", {{"score", std::string("cosin")}});
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("'cosine'"));
  }
}

TEST(Scores, AdditiveGradientsAreNotTouchedByAMaskedNan) {
  Case c;
  c.inputs.extra = {{"score_query", test::normal({1, kDim, kDim}, 12)},
                    {"score_key", test::normal({1, kDim, kDim}, 13)},
                    {"score_vector", test::normal({1, kDim}, 14)}};
  const auto variant = test::make("full", {{"score", std::string("additive")}});
  const auto gradient_of_q = [&](double key) {
    Inputs inputs = c.inputs;
    inputs.k = inputs.k.clone();
    inputs.k.select(2, kSeqlen - 1).fill_(key);
    inputs.q = inputs.q.detach().clone().requires_grad_(true);
    const at::Tensor seen = variant->forward(inputs).out.narrow(2, 0, kSeqlen - 1);
    return torch::autograd::grad({seen.sum()}, {inputs.q})[0].narrow(2, 0, kSeqlen - 1);
  };
  EXPECT_EQ(test::max_difference(gradient_of_q(std::nan("")), gradient_of_q(1.0)), 0.0);
}

}  // namespace
}  // namespace attnlab
