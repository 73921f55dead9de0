#include "kernels/cuda/naive/naive_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/cuda/device_case.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

/// head_dim 1 makes the dot products q_i * k_j: the score matrix of a case is cheap to make.
struct RowCase {
  AttentionTensors attention;
  HostTensor scores, dots, grad;
  Layout layout;

  RowCase(const AttentionShape& shape, const MaskOptions& mask, Layout l = Layout::kHeadsFirst)
      : attention(shape, mask),
        scores(shape.batch, shape.heads, shape.seqlen_q, shape.seqlen_k, shape.dtype, l),
        dots(shape.batch, shape.heads, shape.seqlen_q, shape.seqlen_k, shape.dtype, l),
        grad(shape.batch, shape.heads, shape.seqlen_q, shape.seqlen_k, shape.dtype, l),
        layout(l) {
    attention.score.scale = 0.7;
    fill_dots(scores);
    fill_dots(dots);
    // The gradient of the weights: dO V^T, here with head_dim_v 1.
    grad.for_each([&](auto b, auto h, auto i, auto j) {
      grad.set(b, h, i, j, attention.grad_out.get(b, h, i, 0) * attention.v.get(b, kv(h), j, 0));
    });
  }

  std::int64_t kv(std::int64_t h) const {
    return h / (attention.shape.heads / attention.shape.kv_heads);
  }
  void fill_dots(HostTensor& matrix) {
    matrix.for_each([&](auto b, auto h, auto i, auto j) {
      matrix.set(b, h, i, j, attention.q.get(b, h, i, 0) * attention.k.get(b, kv(h), j, 0));
    });
  }
  void softmax() {
    const DeviceCopies copies(attention, 0);
    const DeviceTensor matrix(scores);
    const AttentionArgs args = copies.forward_args(attention);
    cuda::softmax_rows(attention.shape, args.mask, args.score, matrix.view(), nullptr);
    matrix.download(scores);
  }
  void softmax_backward() {
    const DeviceCopies copies(attention, 0);
    const DeviceTensor weights(scores);
    const DeviceTensor raw(dots);
    const DeviceTensor gradient(grad);
    const AttentionArgs args = copies.forward_args(attention);
    const bool needs_dots = attention.score.softcap != 0.0;
    cuda::softmax_rows_backward(attention.shape, args.mask, args.score, weights.view(),
                                needs_dots ? raw.view() : TensorView{}, gradient.view(), nullptr);
    gradient.download(grad);
  }

  void expect_weights() {
    softmax();
    // One-hot values would give the weights; instead weigh v and compare with the output.
    const ReferenceResult expected = reference_attention(
        attention.shape, attention.mask, attention.score, attention.q, attention.k, attention.v);
    std::vector<double> actual;
    attention.out.for_each([&](auto b, auto h, auto i, auto) {
      double sum = 0.0;
      for (std::int64_t j = 0; j < attention.shape.seqlen_k; ++j) {
        const double weight = scores.get(b, h, i, j);
        if (!reference_visible(attention.shape, attention.mask, b, i, j)) {
          EXPECT_EQ(weight, 0.0);
        }
        sum += weight * attention.v.get(b, kv(h), j, 0);
      }
      actual.push_back(sum);
    });
    // The dot products are rounded to dtype on the way in.
    const double allowed = tolerance(attention.shape.dtype, 8.0 * magnitude_of(expected.out),
                                     attention.shape.seqlen_k);
    EXPECT_TRUE(all_close(actual, expected.out, allowed)) << attention.describe();
  }

  void expect_gradients() {
    softmax();
    softmax_backward();
    const ReferenceGradients expected =
        reference_attention_gradients(attention.shape, attention.mask, attention.score, attention.q,
                                      attention.k, attention.v, attention.grad_out);
    std::vector<double> actual;
    attention.q.for_each([&](auto b, auto h, auto i, auto) {
      double sum = 0.0;
      for (std::int64_t j = 0; j < attention.shape.seqlen_k; ++j) {
        sum += grad.get(b, h, i, j) * attention.k.get(b, kv(h), j, 0);
      }
      actual.push_back(sum);
    });
    const double allowed = gradient_tolerance(
        attention.shape.dtype, 4.0 * magnitude_of(expected.grad_q), attention.shape.seqlen_k, 1);
    EXPECT_TRUE(all_close(actual, expected.grad_q, allowed)) << attention.describe();
  }
};

TEST(CudaNaive, EverySchedule) {
  run_kernels_everywhere([] {
    for (const DType dtype : kDTypes) {
      RowCase forward(make_shape(1, 2, 1, 3, 300, 1, 1, dtype), {true});
      forward.expect_weights();
    }
    RowCase backward(make_shape(1, 2, 1, 3, 300, 1, 1), {true});
    backward.expect_gradients();
  });
}

TEST(CudaNaive, RowsEqualTheFormula) {
  for (const DType dtype : kDTypes) {
    for (const MaskOptions& mask : all_masks()) {
      for (const double softcap : {0.0, 1.5}) {
        RowCase c(make_shape(2, 2, 1, 21, 37, 1, 1, dtype), mask, Layout::kSeqlenFirst);
        c.attention.score.softcap = softcap;
        c.attention.use_alibi();
        c.expect_weights();
      }
    }
    RowCase plain(make_shape(2, 2, 1, 5, 37, 1, 1, dtype), {});
    plain.expect_weights();
  }
}

TEST(CudaNaive, BackwardEqualsTheFormula) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    for (const MaskOptions& mask : all_masks()) {
      for (const double softcap : {0.0, 1.5}) {
        RowCase c(make_shape(2, 2, 1, 21, 37, 1, 1, dtype), mask);
        c.attention.score.softcap = softcap;
        c.expect_gradients();
      }
    }
  }
}

TEST(CudaNaive, BackwardInSixteenBits) {
  // The weights and their gradients as they are stored, by the formula in double.
  for (const DType dtype : {DType::kBFloat16, DType::kFloat16}) {
    RowCase c(make_shape(1, 2, 1, 9, 200, 1, 1, dtype), {true, 150});
    c.softmax();
    std::vector<double> expected;
    c.grad.for_each([&](auto b, auto h, auto i, auto j) {
      double sum = 0.0;
      for (std::int64_t k = 0; k < 200; ++k)
        sum += c.scores.get(b, h, i, k) * c.grad.get(b, h, i, k);
      expected.push_back(c.scores.get(b, h, i, j) * (c.grad.get(b, h, i, j) - sum) * 0.7);
    });
    c.softmax_backward();
    EXPECT_TRUE(all_close(c.grad.values(), expected, unit_roundoff(dtype)));
  }
}

TEST(CudaNaive, LengthsOfBatchItems) {
  RowCase c(make_shape(3, 1, 1, 4, 50, 1, 1), {true});
  c.attention.use_seqlens({0, 50, 17});
  c.expect_weights();
}

TEST(CudaNaive, MaskedNanBecomesZeroAndStaysOutOfSums) {
  RowCase c(make_shape(1, 1, 1, 12, 12, 1, 1), {true});
  RowCase clean(c.attention.shape, {true});
  c.scores.for_each([&](auto b, auto h, auto i, auto j) {
    if (j > i) c.scores.set(b, h, i, j, std::nan(""));
    if (j > i) c.grad.set(b, h, i, j, std::nan(""));
  });
  c.softmax();
  clean.softmax();
  EXPECT_EQ(c.scores.values(), clean.scores.values());
  c.softmax_backward();
  clean.softmax_backward();
  EXPECT_EQ(c.grad.values(), clean.grad.values());
}

TEST(CudaNaive, RowsWithoutKeysAndOfMinusInfinityAreZero) {
  RowCase c(make_shape(1, 1, 1, 6, 4, 1, 1), {true});
  for (std::int64_t j = 0; j < 4; ++j) {
    c.scores.set(0, 0, 4, j, -std::numeric_limits<double>::infinity());
  }
  c.softmax();
  for (const std::int64_t row : {0, 1, 4}) {
    for (std::int64_t j = 0; j < 4; ++j) EXPECT_EQ(c.scores.get(0, 0, row, j), 0.0);
  }
  EXPECT_NEAR(c.scores.get(0, 0, 2, 0), 1.0, 1e-6);
}

TEST(CudaNaive, NothingToDo) {
  for (const auto& [nq, nk] : std::vector<std::pair<int, int>>{{0, 5}, {5, 0}}) {
    RowCase c(make_shape(1, 1, 1, nq, nk, 1, 1), {});
    c.softmax();
    c.softmax_backward();
    EXPECT_TRUE(c.scores.values().empty());
  }
}

TEST(CudaMaskedWeightedSum, IgnoresRowsThatAreMasked) {
  for (const DType dtype : kDTypes) {
    const AttentionShape shape = make_shape(2, 2, 1, 5, 7, 3, 3, dtype);
    const MaskOptions mask{true};
    HostTensor coeff(2, 2, 5, 7, dtype);
    HostTensor rows(2, 1, 7, 3, dtype);
    HostTensor out(2, 2, 5, 3, dtype);
    coeff.for_each([&](auto b, auto h, auto i, auto j) {
      const bool kept = reference_visible(shape, mask, b, i, j);
      coeff.set(b, h, i, j, kept ? static_cast<double>(1 + i + j) : std::nan(""));
    });
    rows.for_each([&](auto b, auto h, auto s, auto c) {
      rows.set(b, h, s, c, s == 6 ? std::nan("") : static_cast<double>(b + s + c));
    });
    const DeviceTensor d_coeff(coeff), d_rows(rows), d_out(out);
    cuda::masked_weighted_sum(shape, mask, d_coeff.view(), d_rows.view(), d_out.view(), nullptr);
    d_out.download(out);
    out.for_each([&](auto b, auto h, auto i, auto c) {
      double expected = 0.0;
      for (std::int64_t j = 0; j <= i + 2; ++j) {
        expected += static_cast<double>(1 + i + j) * rows.get(b, 0, j, c);
      }
      if (i == 4) {
        EXPECT_TRUE(std::isnan(out.get(b, h, i, c)));
      } else {
        EXPECT_NEAR(out.get(b, h, i, c), expected, expected * unit_roundoff(dtype) * 1.01);
      }
    });
  }
}

TEST(CudaMaskedWeightedSum, TransposedSumsOverTheGroup) {
  const AttentionShape shape = make_shape(1, 2, 1, 4, 3, 2, 2);
  const MaskOptions mask{true};
  HostTensor coeff(1, 2, 4, 3, DType::kFloat32);
  HostTensor rows(1, 2, 4, 2, DType::kFloat32);
  HostTensor out(1, 1, 3, 2, DType::kFloat32);
  coeff.for_each([&](auto b, auto h, auto i, auto j) {
    coeff.set(b, h, i, j, static_cast<double>(1 + h + i * j));
  });
  // Query 0 sees no key (diagonal -1).
  rows.for_each([&](auto b, auto h, auto s, auto c) {
    rows.set(b, h, s, c, s == 0 ? std::nan("") : static_cast<double>(h + s + c));
  });
  const DeviceTensor d_coeff(coeff), d_rows(rows), d_out(out);
  cuda::masked_weighted_sum_transposed(shape, mask, d_coeff.view(), d_rows.view(), d_out.view(),
                                       nullptr);
  d_out.download(out);
  out.for_each([&](auto b, auto g, auto j, auto c) {
    double expected = 0.0;
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t i = j + 1; i < 4; ++i) {
        expected += static_cast<double>((1 + h + i * j) * (h + i + c));
      }
    }
    EXPECT_EQ(out.get(b, g, j, c), expected);
  });
}

}  // namespace
}  // namespace attnlab::testing
