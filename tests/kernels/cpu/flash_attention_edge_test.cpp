// NaN and infinity, wrong arguments, and the size of plans.
#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "kernels/cpu/flash_attention.h"
#include "kernels/cpu/kernel_table.h"
#include "tests/kernels/cpu/attention_case.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class FlashAttentionEdge : public ::testing::TestWithParam<cpu::Isa> {
 protected:
  void SetUp() override { cpu::override_isa_for_testing(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Isa, FlashAttentionEdge, ::testing::ValuesIn(cpu::available_isas()),
                         [](const auto& set) { return cpu::isa_name(set.param); });

/// Gradients and outputs by row, to compare the rows that a bad token may not reach.
struct Results {
  std::vector<double> out, lse, grad_q, grad_k, grad_v;
  explicit Results(AttentionCase& c) {
    c.run_forward();
    c.run_backward();
    out = c.out.values();
    lse = c.lse.values();
    grad_q = c.grad_q.values();
    grad_k = c.grad_k.values();
    grad_v = c.grad_v.values();
  }
};

/// Expects rows with clean(s) to be equal in both, and (some of) the others to be NaN.
void expect_rows(const std::vector<double>& actual, const std::vector<double>& expected,
                 std::int64_t seqlen, std::int64_t dim, const char* what,
                 const std::function<bool(std::int64_t)>& clean) {
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const std::int64_t s = static_cast<std::int64_t>(i) / dim % seqlen;
    if (clean(s)) {
      ASSERT_EQ(actual[i], expected[i]) << what << " of row " << s << ", which is not affected";
    } else {
      ASSERT_FALSE(std::isfinite(actual[i])) << what << " of row " << s << " hides the bad value";
    }
  }
}

constexpr std::int64_t kLength = 150;
constexpr std::int64_t kDim = 8;

void expect_bad_keys_stay_local(DType dtype, const MaskOptions& mask, std::int64_t token,
                                double bad) {
  AttentionCase clean(make_shape(1, 1, 1, kLength, kLength, kDim, kDim, dtype), mask);
  AttentionCase c(clean.shape, mask);
  c.v.fill_row(token, bad);
  if (std::isnan(bad)) c.k.fill_row(token, bad);
  const Results expected(clean);
  const Results actual(c);
  const auto blind = [&](std::int64_t q) { return !reference_visible(c.shape, mask, 0, q, token); };
  expect_rows(actual.out, expected.out, kLength, kDim, "out", blind);
  expect_rows(actual.grad_q, expected.grad_q, kLength, kDim, "grad_q", blind);
  // Keys are reached through queries that see the bad token and them.
  const auto apart = [&](std::int64_t k) {
    for (std::int64_t q = 0; q < kLength; ++q) {
      if (!blind(q) && reference_visible(c.shape, mask, 0, q, k)) return false;
    }
    return true;
  };
  expect_rows(actual.grad_k, expected.grad_k, kLength, kDim, "grad_k", apart);
}

TEST_P(FlashAttentionEdge, BadKeysAndValuesReachOnlyQueriesThatSeeThem) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const MaskOptions& mask :
         {MaskOptions{true, -1, -1}, MaskOptions{true, 20, -1}, MaskOptions{false, 3, 9}}) {
      for (const double bad : {std::nan(""), kInfinity, -kInfinity}) {
        for (const std::int64_t token : {0, 20, 63, 64, 100, 149}) {
          expect_bad_keys_stay_local(dtype, mask, token, bad);
        }
      }
    }
  }
}

void expect_bad_query_stays_local(DType dtype, const MaskOptions& mask, std::int64_t token,
                                  bool in_grad_out) {
  AttentionCase clean(make_shape(1, 1, 1, kLength, kLength, kDim, kDim, dtype), mask);
  AttentionCase c(clean.shape, mask);
  (in_grad_out ? c.grad_out : c.q).fill_row(token, std::nan(""));
  const Results expected(clean);
  const Results actual(c);
  const auto other_query = [&](std::int64_t q) { return q != token; };
  const auto unseen = [&](std::int64_t k) {
    return !reference_visible(c.shape, mask, 0, token, k);
  };
  expect_rows(actual.grad_q, expected.grad_q, kLength, kDim, "grad_q", other_query);
  expect_rows(actual.grad_k, expected.grad_k, kLength, kDim, "grad_k", unseen);
  expect_rows(actual.grad_v, expected.grad_v, kLength, kDim, "grad_v", unseen);
  if (in_grad_out) {
    EXPECT_EQ(actual.out, expected.out);
  } else {
    expect_rows(actual.out, expected.out, kLength, kDim, "out", other_query);
    expect_rows(actual.lse, expected.lse, kLength, 1, "lse", other_query);
  }
}

TEST_P(FlashAttentionEdge, BadQueriesReachOnlyTheirKeys) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const MaskOptions& mask : {MaskOptions{true, -1, -1}, MaskOptions{false, 3, 9}}) {
      for (const std::int64_t token : {0, 47, 48, 100, 149}) {
        for (const bool in_grad_out : {false, true}) {
          expect_bad_query_stays_local(dtype, mask, token, in_grad_out);
        }
      }
    }
  }
}

/// Longer than everything that a kernel takes at a time, in every direction.
TEST_P(FlashAttentionEdge, LongBfloat16MatchesTheFormula) {
  for (const MaskOptions& mask : {MaskOptions{true, -1, -1}, MaskOptions{true, 299}}) {
    AttentionCase c(make_shape(1, 1, 1, 540, 1100, 16, 40, DType::kBFloat16), mask);
    c.expect_forward();
    c.expect_backward();
  }
}

/// The reference that is subtracted before the exponential follows the maximum with a delay.
TEST_P(FlashAttentionEdge, ScoresThatGrowAlongTheKeysStayExact) {
  for (const double step : {0.01, 0.2, -0.2}) {
    AttentionCase c(make_shape(1, 1, 1, 70, 600, 8, 8, DType::kBFloat16), {});
    for (std::int64_t s = 0; s < 600; ++s) c.k.set(0, 0, s, 0, step * static_cast<double>(s));
    for (std::int64_t s = 0; s < 70; ++s) c.q.set(0, 0, s, 0, 3.0);
    c.expect_forward();
  }
}

TEST_P(FlashAttentionEdge, BadTokensBeyondSeqlensAreNeverRead) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    AttentionCase c(make_shape(2, 2, 1, 60, 130, kDim, kDim, dtype), {});
    c.use_seqlens({70, 130});
    for (std::int64_t s = 70; s < 130; ++s) {
      for (std::int64_t x = 0; x < kDim; ++x) {
        c.k.set(0, 0, s, x, std::nan(""));
        c.v.set(0, 0, s, x, kInfinity);
      }
    }
    c.run_forward();
    c.run_backward();
    for (const HostTensor* tensor : {&c.out, &c.grad_q, &c.grad_k, &c.grad_v}) {
      for (const double x : tensor->values()) ASSERT_TRUE(std::isfinite(x));
    }
    EXPECT_EQ(c.grad_k.get(0, 0, 70, 0), 0.0);
    EXPECT_EQ(c.grad_v.get(0, 0, 129, 0), 0.0);
  }
}

TEST_P(FlashAttentionEdge, ScoresOfMinusInfinityAreAnEmptyRow) {
  // 1e30 * -1e30 overflows in float32 to -inf for every key: no NaN may come of it.
  AttentionCase c(make_shape(1, 1, 1, 3, 70, 4, 4), {});
  for (std::int64_t x = 0; x < 4; ++x) c.q.set(0, 0, 1, x, 1e30);
  for (std::int64_t s = 0; s < 70; ++s) {
    for (std::int64_t x = 0; x < 4; ++x) c.k.set(0, 0, s, x, -1e30);
  }
  c.score.scale = 1e-30;
  c.q.set(0, 0, 1, 0, 3e38);
  c.score.scale = 1.0;
  c.run_forward();
  EXPECT_EQ(c.lse.get(0, 0, 1, 0), -kInfinity);
  EXPECT_EQ(c.out.get(0, 0, 1, 0), 0.0);
  c.run_backward();
  EXPECT_EQ(c.grad_q.get(0, 0, 1, 0), 0.0);
}

// Its score is -inf for every query, so its weight is 0: queries that do not exist must not change
// that, whether or not the last tile of queries is full.
TEST_P(FlashAttentionEdge, KeyWithWeightsOfZeroHasGradientsOfZeroAtAnyLength) {
  constexpr std::int64_t kToken = 5;
  for (const DType dtype : kDTypes) {
    for (const std::int64_t queries : {1, 31, 32, 33, 48, 64, 80, 97}) {
      AttentionCase c(make_shape(1, 1, 1, queries, 64, 32, 32, dtype), {});
      for (std::int64_t q = 0; q < queries; ++q) c.q.set(0, 0, q, 0, 1.0);
      c.k.set(0, 0, kToken, 0, -kInfinity);
      c.run_forward();
      c.run_backward();
      for (std::int64_t x = 0; x < 32; ++x) {
        ASSERT_EQ(c.grad_k.get(0, 0, kToken, x), 0.0) << dtype_name(dtype) << ", " << queries;
        ASSERT_EQ(c.grad_v.get(0, 0, kToken, x), 0.0) << dtype_name(dtype) << ", " << queries;
      }
    }
  }
}

TEST_P(FlashAttentionEdge, WorkspaceGrowsWithTheLengthAtMost) {
  const AttentionShape shape = make_shape(2, 8, 8, 4096, 4096, 64, 64);
  const KernelPlan two = cpu::plan_flash_attention(shape, 2);
  EXPECT_EQ(two.num_workers, 2);
  EXPECT_EQ(two.workspace_bytes, 2 * cpu::plan_flash_attention(shape, 1).workspace_bytes);
  AttentionShape twice = shape;
  twice.seqlen_q = twice.seqlen_k = 2 * shape.seqlen_q;
  EXPECT_EQ(cpu::plan_flash_attention(twice, 2).workspace_bytes, two.workspace_bytes);
  EXPECT_LE(cpu::plan_flash_attention_backward(twice, 2).workspace_bytes,
            2 * cpu::plan_flash_attention_backward(shape, 2).workspace_bytes);
  EXPECT_EQ(cpu::plan_flash_attention(make_shape(1, 1, 1, 1, 9, 8, 8), 16).num_workers, 1);
}

TEST_P(FlashAttentionEdge, RefusesWhatItCannotDo) {
  EXPECT_THROW(cpu::plan_flash_attention(make_shape(1, 1, 1, 1, 1, 257, 8), 1), UnsupportedError);
  EXPECT_THROW(cpu::plan_flash_attention(make_shape(1, 1, 1, 1, 1, 8, 0), 1), UnsupportedError);
  EXPECT_THROW(cpu::plan_flash_attention(make_shape(1, 3, 2, 1, 1, 8, 8), 1), UnsupportedError);
  AttentionCase c(make_shape(1, 1, 1, 9, 9, 8, 8), {});
  const KernelPlan plan = cpu::plan_flash_attention(c.shape, 1);
  Workspace small(plan.workspace_bytes - 64);
  EXPECT_THROW(cpu::flash_attention(c.forward_args(), plan, small.span(), threads()), Error);
  c.use_seqlens({10});
  Workspace workspace(plan.workspace_bytes);
  EXPECT_THROW(cpu::flash_attention(c.forward_args(), plan, workspace.span(), threads()), Error);
}

}  // namespace
}  // namespace attnlab::testing
