// Linear attention on CUDA where numbers are special: NaN, denominators of 0, tokens that forget
// everything, sums beyond the range of float16; accuracy where values have a common mean; memory.
#include <gtest/gtest.h>

#include <functional>

#include "kernels/core/error.h"
#include "tests/kernels/cuda/linear/linear_case.h"

namespace attnlab::testing {
namespace {

TEST(CudaLinearAttentionEdge, DecayOfMinusInfinityForgetsEverything) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16}) {
    LinearCase c(make_shape(1, 1, 1, 150, 150, 8, 8, dtype));
    c.use_decay(true);
    for (const std::size_t token : {0, 70, 71, 140}) {
      c.decay[token] = -std::numeric_limits<float>::infinity();
    }
    c.run();
    const auto expected = reference_linear_attention(c.shape, c.options, c.q, c.k, c.v);
    EXPECT_TRUE(
        all_close(c.out.values(), expected, tolerance(dtype, magnitude_of(expected), 1200)));
    for (const auto& values : c.results()) {
      for (const double x : values) ASSERT_TRUE(std::isfinite(x));
    }
  }
}

TEST(CudaLinearAttentionEdge, DenominatorOfZeroGivesZero) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    LinearCase c(make_shape(1, 1, 1, 140, 140, 4, 4, dtype), true, true, FeatureMapKind::kRelu);
    c.q.fill_row(3, -1.0);
    c.q.fill_row(130, -1.0);
    c.grad_out.fill_row(130, std::nan(""));
    c.run();
    for (const std::int64_t row : {3, 130}) {
      for (std::int64_t x = 0; x < 4; ++x) {
        EXPECT_EQ(c.out.get(0, 0, row, x), 0.0);
        EXPECT_EQ(c.grad_q.get(0, 0, row, x), 0.0);
      }
    }
    c.compare();
  }
}

/// Rows with clean(s) are bit-equal; the others hold no finite number.
void expect_rows(const HostTensor& actual, const HostTensor& expected, const char* what,
                 const std::function<bool(std::int64_t)>& clean) {
  actual.for_each([&](auto b, auto h, auto s, auto c) {
    if (clean(s)) {
      ASSERT_EQ(actual.get(b, h, s, c), expected.get(b, h, s, c)) << what << " row " << s;
    } else {
      ASSERT_TRUE(std::isnan(actual.get(b, h, s, c))) << what << " row " << s << " hides the NaN";
    }
  });
}

TEST(CudaLinearAttentionEdge, BadTokensReachOnlyWhatDependsOnThem) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const bool decays : {false, true}) {
      for (const std::int64_t token :
           decays ? std::vector<std::int64_t>{64} : std::vector<std::int64_t>{0, 63, 130}) {
        const AttentionShape shape = make_shape(1, 1, 1, 132, 132, 8, 8, dtype);
        LinearCase clean(shape), bad_kv(shape), bad_grad(shape), bad_q(shape);
        bad_kv.v.fill_row(token, std::nan(""));
        bad_kv.k.fill_row(token, std::nan(""));
        bad_grad.grad_out.fill_row(token, std::nan(""));
        bad_q.q.fill_row(token, std::nan(""));
        for (LinearCase* c : {&clean, &bad_kv, &bad_grad, &bad_q}) {
          if (decays) c->use_decay(true);
          c->run();
        }
        const auto before = [&](std::int64_t s) { return s < token; };
        const auto after = [&](std::int64_t s) { return s > token; };
        const auto other = [&](std::int64_t s) { return s != token; };
        expect_rows(bad_kv.out, clean.out, "out", before);
        expect_rows(bad_kv.grad_q, clean.grad_q, "grad_q", before);
        expect_rows(bad_grad.grad_q, clean.grad_q, "grad_q", other);
        expect_rows(bad_grad.grad_k, clean.grad_k, "grad_k", after);
        expect_rows(bad_grad.grad_v, clean.grad_v, "grad_v", after);
        expect_rows(bad_q.out, clean.out, "out", other);
        expect_rows(bad_q.grad_q, clean.grad_q, "grad_q", other);
        expect_rows(bad_q.grad_k, clean.grad_k, "grad_k", after);
        expect_rows(bad_q.grad_v, clean.grad_v, "grad_v", after);
      }
    }
  }
}

/// Relative error in the l2 norm.
double relative_error(const HostTensor& actual, const std::vector<double>& expected) {
  const std::vector<double> values = actual.values();
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    difference += (values[i] - expected[i]) * (values[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return std::sqrt(difference / norm);
}

TEST(CudaLinearAttentionEdge, Float16SumsBeyondItsRange) {
  // Sums of 128 tokens of 30 * 100 each are beyond 65504, and 1 / denominator is below the smallest
  // normal number; outputs and gradients are not. The features of k, which grad_q cancels to 1/60,
  // are rounded.
  LinearCase c(make_shape(1, 1, 1, 260, 260, 8, 8, DType::kFloat16));
  c.k.for_each(
      [&](auto b, auto h, auto s, auto x) { c.k.set(b, h, s, x, 30.0 + c.k.get(b, h, s, x)); });
  c.v.for_each(
      [&](auto b, auto h, auto s, auto x) { c.v.set(b, h, s, x, 100.0 * c.v.get(b, h, s, x)); });
  c.run();
  const auto expected = reference_linear_attention(c.shape, c.options, c.q, c.k, c.v);
  const ReferenceGradients grads =
      reference_linear_gradients(c.shape, c.options, c.q, c.k, c.v, c.grad_out);
  EXPECT_LE(relative_error(c.out, expected), 0x1p-10);
  EXPECT_LE(relative_error(c.grad_v, grads.grad_v), 0x1p-10);
  EXPECT_LE(relative_error(c.grad_q, grads.grad_q), 0x1p-5);
}

TEST(CudaLinearAttentionEdge, ValuesWithACommonMeanKeepTheirGradients) {
  // G . v + c is the small difference of large numbers. Without centers the errors of grad_q are
  // 0.9 (bfloat16), 0.12 (float16) and 9e-5 (float32); of the masked matrix formula in the same
  // types about 2, more than 100 and 4e-5.
  struct Bound {
    DType dtype;
    double grad_q, grad_k;
  };
  for (const Bound& bound :
       {Bound{DType::kFloat32, 4e-5, 4e-6}, Bound{DType::kBFloat16, 3 * 0x1p-8, 2 * 0x1p-8},
        Bound{DType::kFloat16, 3 * 0x1p-11, 2 * 0x1p-11}}) {
    LinearCase c(make_shape(1, 1, 1, 400, 400, 16, 16, bound.dtype));
    c.v.for_each([&](auto b, auto h, auto s, auto x) {
      c.v.set(b, h, s, x, 8.0 + 0.25 * c.v.get(b, h, s, x));
    });
    c.run();
    const ReferenceGradients grads =
        reference_linear_gradients(c.shape, c.options, c.q, c.k, c.v, c.grad_out);
    EXPECT_LE(relative_error(c.grad_q, grads.grad_q), bound.grad_q) << dtype_name(bound.dtype);
    EXPECT_LE(relative_error(c.grad_k, grads.grad_k), bound.grad_k) << dtype_name(bound.dtype);
  }
}

TEST(CudaLinearAttentionEdge, WorkspaceGrowsNoFasterThanTheLength) {
  const auto bytes = [](std::int64_t n, bool causal) {
    return cuda::plan_linear_attention_backward(make_shape(1, 1, 1, n, n, 64, 64), causal,
                                                device_model())
        .workspace_bytes;
  };
  // What linear_attention.h says: states of half a float32 row, 16 bytes of decays, three sums and
  // two for each 64 columns; and the sums of features and values of each chunk of 128 tokens.
  const std::int64_t per_token = 2 * 64 + 16 + 3 * 4 + 2 * 4 + 4 * 4 * 64 / 128;
  EXPECT_LE(bytes(1 << 20, true), (per_token << 20) + 65536);
  EXPECT_EQ(bytes(1 << 21, true) - bytes(1 << 20, true), per_token << 20);
  EXPECT_LT(bytes(1 << 20, false), bytes(1 << 20, true));
}

TEST(CudaLinearAttentionEdge, RefusesWhatItCannotDo) {
  const auto plan = [](const AttentionShape& shape) {
    return cuda::plan_linear_attention(shape, true, device_model());
  };
  EXPECT_THROW(plan(make_shape(1, 1, 1, 3, 4, 8, 8)), UnsupportedError);
  EXPECT_THROW(plan(make_shape(1, 3, 2, 4, 4, 8, 8)), UnsupportedError);
  EXPECT_THROW(plan(make_shape(1, 1, 1, 4, 4, 257, 8)), UnsupportedError);
  EXPECT_THROW(plan(make_shape(1, 1, 1, 4, 4, 8, 0)), UnsupportedError);
  LinearCase c(make_shape(1, 1, 1, 4, 4, 8, 8), false);
  c.use_decay(false);
  EXPECT_THROW(c.run_forward(), UnsupportedError);
  EXPECT_THROW(c.run_backward(), UnsupportedError);
}

}  // namespace
}  // namespace attnlab::testing
