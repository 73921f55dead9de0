#include "experiments/measure/accuracy.h"

#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <limits>

#include "experiments/measure/inputs.h"
#include "tests/experiments/measure/fake_variant.h"
#include "variants/api/softmax_reference.h"

namespace attnlab::measure {
namespace {

using testing::HasSubstr;

/// Identity forward; multiplies the gradient.
struct ScaleGradient : torch::autograd::Function<ScaleGradient> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            double factor) {
    context->saved_data["factor"] = factor;
    return x.clone();
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list grads) {
    return {grads[0].mul(context->saved_data["factor"].toDouble()), at::Tensor()};
  }
};

AccuracyResult accuracy_of(const FakeVariant& variant, const Problem& problem,
                           std::int64_t rows = 64) {
  const TrialInputs made = make_inputs({.problem = problem});
  return measure_accuracy(variant, made.inputs, made.grad_out, problem, {.rows = rows});
}

/// out times (1 + error): a relative L2 error of exactly `error`.
FakeVariant with_output_error(double error) {
  FakeVariant variant;
  variant.distort = [error](const Inputs&, const at::Tensor& exact) {
    return Outputs{exact.mul(1 + error), std::nullopt, std::nullopt};
  };
  return variant;
}

TEST(SampleRowsTest, TakesFirstLastAndOneOfEachPart) {
  const at::Tensor rows = sample_rows(1000, 10, 5);
  ASSERT_EQ(rows.size(0), 10);
  EXPECT_EQ(rows[0].item<std::int64_t>(), 0);
  EXPECT_EQ(rows[9].item<std::int64_t>(), 999);
  for (std::int64_t i = 1; i < 9; ++i) {
    EXPECT_GE(rows[i].item<std::int64_t>(), 1 + (i - 1) * 998 / 8);
    EXPECT_LT(rows[i].item<std::int64_t>(), 1 + i * 998 / 8);
  }
  EXPECT_TRUE(at::equal(rows, sample_rows(1000, 10, 5)));
  EXPECT_FALSE(at::equal(rows, sample_rows(1000, 10, 6)));
}

TEST(SampleRowsTest, ShortSequencesAreTakenWhole) {
  EXPECT_EQ(sample_rows(3, 64, 0).size(0), 3);
  EXPECT_EQ(sample_rows(1, 64, 0).size(0), 1);
  EXPECT_EQ(sample_rows(5, 1, 0).size(0), 2);
}

TEST(AccuracyTest, ThePlainFormulaIsAsGoodAsItself) {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
    Problem problem = small_problem(Direction::kForwardBackward);
    problem.dtype = dtype;
    const AccuracyResult result = accuracy_of(FakeVariant(), problem);
    EXPECT_TRUE(result.passed) << result.reason;
    EXPECT_GT(result.error_ratio, dtype == at::kDouble ? -1.0 : 0.0);
    EXPECT_LT(result.error_ratio, 2.0);
    EXPECT_TRUE(result.error_dq && result.error_dk && result.error_dv);
  }
}

TEST(AccuracyTest, AnInjectedErrorIsMeasuredExactlyAndRefused) {
  const AccuracyResult result = accuracy_of(with_output_error(0.01), small_problem());
  EXPECT_NEAR(result.error_out, 0.01, 1e-5);
  EXPECT_NEAR(result.approx_error, 0.01, 1e-5);
  EXPECT_GT(result.error_ratio, 1000);
  EXPECT_FALSE(result.passed);
  EXPECT_THAT(result.reason, HasSubstr("out: relative L2 error 0.01 "));
  EXPECT_FALSE(result.error_dq.has_value());
}

TEST(AccuracyTest, TheGateIsAtTwiceThePlainError) {
  Problem problem = small_problem();
  problem.dtype = at::kBFloat16;
  // All rows in one batch item, so that variant and yardstick run the very same operations.
  problem.batch = 1;
  const std::int64_t rows = problem.seqlen_q;
  const double plain = accuracy_of(FakeVariant(), problem, rows).error_out;
  const auto result_at = [&](double x) {
    FakeVariant variant;
    variant.distort = [&](const Inputs& inputs, const at::Tensor&) {
      Inputs exact = inputs;
      for (auto* tensor : {&exact.q, &exact.k, &exact.v}) *tensor = tensor->to(at::kDouble);
      const at::Tensor out = softmax_reference(exact, {.causal = true}, {});
      return Outputs{out.mul(1 + x * plain), std::nullopt, std::nullopt};
    };
    return accuracy_of(variant, problem, rows);
  };
  EXPECT_TRUE(result_at(1.9).passed);
  EXPECT_NEAR(result_at(1.9).error_ratio, 1.9, 1e-3);
  EXPECT_FALSE(result_at(2.1).passed);
}

TEST(AccuracyTest, AWrongGradientIsFoundAlone) {
  FakeVariant variant;
  variant.distort = [](const Inputs& inputs, const at::Tensor&) {
    Inputs changed = inputs;
    changed.k = ScaleGradient::apply(inputs.k, 1.25);
    return Outputs{softmax_reference(changed, {.causal = inputs.causal}, {}), std::nullopt,
                   std::nullopt};
  };
  const AccuracyResult result = accuracy_of(variant, small_problem(Direction::kForwardBackward));
  EXPECT_NEAR(*result.error_dk, 0.25, 1e-5);
  EXPECT_LT(result.error_out, 1e-5);
  EXPECT_LT(*result.error_dq, 1e-5);
  EXPECT_LT(*result.error_dv, 1e-5);
  EXPECT_FALSE(result.passed);
  EXPECT_THAT(result.reason, HasSubstr("dk: "));
}

TEST(AccuracyTest, NotFiniteIsInfinitelyWrongEvenOutsideTheSampledRows) {
  FakeVariant variant;
  variant.distort = [](const Inputs&, const at::Tensor& exact) {
    at::Tensor out = exact.clone();
    out[0][0][1][0] = std::numeric_limits<double>::quiet_NaN();
    return Outputs{out, std::nullopt, std::nullopt};
  };
  // Two rows are sampled: the first and the last.
  const AccuracyResult result = accuracy_of(variant, small_problem(), 2);
  EXPECT_TRUE(std::isinf(result.error_out));
  EXPECT_TRUE(std::isinf(result.error_ratio));
  EXPECT_TRUE(std::isinf(result.approx_error));
  EXPECT_FALSE(result.passed);
}

TEST(AccuracyTest, AnApproximationIsRightButFarFromFullAttention) {
  class Windowed : public FakeVariant {
   protected:
    at::Tensor do_reference(const Inputs& inputs, const at::Tensor& rows) const override {
      return softmax_reference(inputs, {.causal = true, .window_left = 3}, rows);
    }
  };
  const AccuracyResult result = accuracy_of(Windowed(), small_problem());
  EXPECT_TRUE(result.passed) << result.reason;
  EXPECT_LT(result.error_out, 1e-6);
  EXPECT_GT(result.approx_error, 0.2);
}

TEST(AccuracyTest, GradientsThatAreZeroDoNotFailOnRoundingNoise) {
  Problem problem = small_problem(Direction::kForwardBackward);
  problem.seqlen_q = problem.seqlen_k = 1;
  const AccuracyResult result = accuracy_of(FakeVariant(), problem);
  EXPECT_TRUE(result.passed) << result.reason;
  EXPECT_LT(*result.error_dq, 1e-5);
}

TEST(AccuracyTest, ExtraInputsAreNotCutApart) {
  FakeVariant variant;
  variant.extra_inputs = {{"decay", "[batch, heads, seqlen_q, head_dim]", "any"}};
  std::int64_t smallest_batch = 100;
  variant.distort = [&](const Inputs& inputs, const at::Tensor& exact) {
    smallest_batch = std::min(smallest_batch, inputs.q.size(0));
    return Outputs{exact, std::nullopt, std::nullopt};
  };
  const Problem problem = small_problem();
  TrialInputs made = make_inputs({.problem = problem});
  made.inputs.extra["decay"] = made.inputs.q;
  EXPECT_TRUE(measure_accuracy(variant, made.inputs, {}, problem).passed);
  EXPECT_EQ(smallest_batch, 2);
}

TEST(AccuracyTest, GroupedHeadsAndCrossLengths) {
  Problem problem = small_problem(Direction::kForwardBackward);
  problem.heads = 4;
  problem.seqlen_q = 30;
  problem.head_dim_v = 12;
  EXPECT_TRUE(accuracy_of(FakeVariant(), problem, 10).passed);
  problem.seqlen_q = 120;  // the first 24 queries see no key
  EXPECT_TRUE(accuracy_of(FakeVariant(), problem, 10).passed);
}

}  // namespace
}  // namespace attnlab::measure
