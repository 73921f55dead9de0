#include "kernels/cpu/naive_attention.h"

#include <gtest/gtest.h>

#include "kernels/cpu/kernel_table.h"
#include "tests/kernels/cpu/attention_case.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

class NaiveAttention : public ::testing::TestWithParam<cpu::Isa> {
 protected:
  void SetUp() override { cpu::override_isa_for_testing(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Isa, NaiveAttention, ::testing::ValuesIn(cpu::available_isas()),
                         [](const auto& set) { return cpu::isa_name(set.param); });

/// head_dim 1 with q = 1 makes the dot products the keys: the score matrix of a case is k.
struct RowCase {
  AttentionCase attention;
  HostTensor scores, dots, grad;

  RowCase(const AttentionShape& shape, const MaskOptions& mask)
      : attention(shape, mask),
        scores(shape.batch, shape.heads, shape.seqlen_q, shape.seqlen_k, shape.dtype),
        dots(shape.batch, shape.heads, shape.seqlen_q, shape.seqlen_k, shape.dtype),
        grad(shape.batch, shape.heads, shape.seqlen_q, shape.seqlen_k, shape.dtype) {
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
  void softmax(int workers = 2) {
    cpu::softmax_rows(attention.shape, attention.mask, attention.score, scores.view(), workers,
                      threads());
  }
  void softmax_backward(int workers = 2) {
    cpu::softmax_rows_backward(attention.shape, attention.mask, attention.score, scores.view(),
                               dots.view(), grad.view(), workers, threads());
  }
};

TEST_P(NaiveAttention, RowsEqualTheFormula) {
  for (const DType dtype : kDTypes) {
    for (const MaskOptions& mask : all_masks()) {
      for (const double softcap : {0.0, 1.5}) {
        RowCase c(make_shape(2, 2, 1, 21, 37, 1, 1, dtype), mask);
        c.attention.score.softcap = softcap;
        c.attention.use_alibi();
        c.softmax();
        // One-hot values would give the weights; instead weigh v and compare with the output.
        const ReferenceResult expected =
            reference_attention(c.attention.shape, mask, c.attention.score, c.attention.q,
                                c.attention.k, c.attention.v);
        std::vector<double> actual;
        c.attention.out.for_each([&](auto b, auto h, auto i, auto) {
          double sum = 0.0;
          for (std::int64_t j = 0; j < 37; ++j) {
            const double weight = c.scores.get(b, h, i, j);
            if (!reference_visible(c.attention.shape, mask, b, i, j)) {
              EXPECT_EQ(weight, 0.0);
            }
            sum += weight * c.attention.v.get(b, c.kv(h), j, 0);
          }
          actual.push_back(sum);
        });
        // The dot products are rounded to dtype on the way in.
        const double allowed = tolerance(dtype, 8.0 * magnitude_of(expected.out), 37);
        EXPECT_TRUE(all_close(actual, expected.out, allowed)) << c.attention.describe();
      }
    }
  }
}

TEST_P(NaiveAttention, BackwardEqualsTheFormula) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    for (const MaskOptions& mask : all_masks()) {
      for (const double softcap : {0.0, 1.5}) {
        RowCase c(make_shape(2, 2, 1, 21, 37, 1, 1, dtype), mask);
        c.attention.score.softcap = softcap;
        c.softmax();
        c.softmax_backward();
        const ReferenceGradients expected =
            reference_attention_gradients(c.attention.shape, mask, c.attention.score, c.attention.q,
                                          c.attention.k, c.attention.v, c.attention.grad_out);
        std::vector<double> actual;
        c.attention.q.for_each([&](auto b, auto h, auto i, auto) {
          double sum = 0.0;
          for (std::int64_t j = 0; j < 37; ++j) {
            sum += c.grad.get(b, h, i, j) * c.attention.k.get(b, c.kv(h), j, 0);
          }
          actual.push_back(sum);
        });
        const double allowed =
            gradient_tolerance(dtype, 4.0 * magnitude_of(expected.grad_q), 37, 1);
        EXPECT_TRUE(all_close(actual, expected.grad_q, allowed)) << c.attention.describe();
      }
    }
  }
}

TEST_P(NaiveAttention, MaskedNanBecomesZeroAndStaysOutOfSums) {
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

TEST_P(NaiveAttention, RowsWithoutKeysAndOfMinusInfinityAreZero) {
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

TEST_P(NaiveAttention, SameBitsForAnyNumberOfWorkers) {
  RowCase one(make_shape(2, 3, 1, 70, 41, 1, 1), {true});
  RowCase five(one.attention.shape, {true});
  one.softmax(1);
  five.softmax(5);
  EXPECT_EQ(one.scores.values(), five.scores.values());
}

TEST(MaskedWeightedSum, IgnoresRowsThatAreMasked) {
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
    cpu::masked_weighted_sum(shape, mask, coeff.view(), rows.view(), out.view(), 3, threads());
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

TEST(MaskedWeightedSum, TransposedSumsOverTheGroup) {
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
  cpu::masked_weighted_sum_transposed(shape, mask, coeff.view(), rows.view(), out.view(), 2,
                                      threads());
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
