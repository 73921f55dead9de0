#include "kernels/cpu/decode_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "tests/kernels/cpu/attention_case.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

/// Every test runs once per instruction set of this machine.
class DecodeAttention : public ::testing::TestWithParam<cpu::Isa> {
 protected:
  void SetUp() override { cpu::override_isa_for_testing(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Isa, DecodeAttention, ::testing::ValuesIn(cpu::available_isas()),
                         [](const auto& set) { return cpu::isa_name(set.param); });

/// Outputs and workspace are poisoned first.
void run(AttentionCase& c, int workers = 2) {
  c.out.poison();
  c.lse.poison();
  const KernelPlan plan = cpu::plan_decode_attention(c.shape, workers);
  Workspace workspace(plan.workspace_bytes);
  cpu::decode_attention(c.forward_args(), plan, workspace.span(), threads());
}

void expect_formula(AttentionCase& c) {
  run(c);
  const ReferenceResult expected = reference_attention(c.shape, c.mask, c.score, c.q, c.k, c.v);
  const std::int64_t terms = c.shape.seqlen_k + c.shape.head_dim;
  const DType sums = c.shape.dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
  EXPECT_TRUE(all_close(c.out.values(), expected.out,
                        tolerance(c.shape.dtype, magnitude_of(expected.out), terms)))
      << "out of " << c.describe();
  EXPECT_TRUE(
      all_close(c.lse.values(), expected.lse, tolerance(sums, magnitude_of(expected.lse), terms)))
      << "lse of " << c.describe();
}

const MaskOptions kCausal{.causal = true};

TEST_P(DecodeAttention, HandComputed) {
  // Scores 0 and ln 3 for the last query, only the first key for the one before.
  AttentionCase c(make_shape(1, 1, 1, 2, 2, 1, 2), kCausal);
  c.score.scale = 1.0;
  for (const std::int64_t q : {0, 1}) c.q.set(0, 0, q, 0, 1.0);
  c.k.set(0, 0, 0, 0, 0.0);
  c.k.set(0, 0, 1, 0, std::log(3.0));
  c.v.set(0, 0, 0, 0, 4.0);
  c.v.set(0, 0, 0, 1, 0.0);
  c.v.set(0, 0, 1, 0, 0.0);
  c.v.set(0, 0, 1, 1, 8.0);
  run(c);
  EXPECT_NEAR(c.out.get(0, 0, 0, 0), 4.0, 1e-6);
  EXPECT_NEAR(c.lse.get(0, 0, 0, 0), 0.0, 1e-6);
  EXPECT_NEAR(c.out.get(0, 0, 1, 0), 1.0, 1e-6);
  EXPECT_NEAR(c.out.get(0, 0, 1, 1), 6.0, 1e-6);
  EXPECT_NEAR(c.lse.get(0, 0, 1, 0), std::log(4.0), 1e-6);
}

TEST_P(DecodeAttention, GroupsTimesQueries) {
  // Rows of a group: every way of cutting them into passes, and more than one pass.
  for (const std::int64_t group : {1, 2, 3, 5, 8}) {
    for (const std::int64_t queries : {1, 2, 3, 7, 16}) {
      AttentionCase c(make_shape(1, 2 * group, 2, queries, 133, 24, 20), kCausal);
      expect_formula(c);
    }
  }
}

TEST_P(DecodeAttention, BlockAndChunkBoundaries) {
  for (const std::int64_t length :
       {1, 2, 3, 15, 16, 17, 63, 64, 65, 127, 511, 512, 513, 575, 1023, 1024, 1025, 1540, 8193}) {
    for (const std::int64_t queries : {1, 4}) {
      AttentionCase c(make_shape(1, 3, 1, queries, length, 16, 16), kCausal);
      expect_formula(c);
    }
  }
}

TEST_P(DecodeAttention, LongCacheTakesLongerChunks) {
  AttentionCase c(make_shape(1, 2, 1, 2, 70001, 4, 4), kCausal);
  expect_formula(c);
}

TEST_P(DecodeAttention, HeadDims) {
  for (const DType dtype : kDTypes) {
    for (const auto& [d, dv] : std::vector<std::pair<int, int>>{{1, 1},
                                                                {3, 17},
                                                                {16, 64},
                                                                {40, 59},
                                                                {64, 48},
                                                                {80, 80},
                                                                {96, 33},
                                                                {111, 128},
                                                                {128, 112},
                                                                {160, 192},
                                                                {224, 96},
                                                                {256, 255}}) {
      AttentionCase c(make_shape(1, 4, 1, 2, 70, d, dv, dtype), kCausal);
      expect_formula(c);
    }
  }
}

TEST_P(DecodeAttention, DtypesAndLayouts) {
  for (const DType dtype : kDTypes) {
    for (const Layout layout : {Layout::kHeadsFirst, Layout::kSeqlenFirst}) {
      for (const std::int64_t queries : {1, 5}) {
        AttentionCase c(make_shape(2, 6, 2, queries, 700, 19, 34, dtype), kCausal, layout);
        expect_formula(c);
      }
    }
  }
}

TEST_P(DecodeAttention, LengthsOfBatchItems) {
  // Empty, shorter than the queries, ending in every part of a chunk, ending with it.
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const std::int64_t queries : {1, 3, 16}) {
      AttentionCase c(make_shape(9, 4, 2, queries, 1100, 16, 8, dtype), kCausal);
      c.use_seqlens({0, 1, 2, 15, 512, 513, 527, 1024, 1100});
      expect_formula(c);
      for (std::int64_t head = 0; head < 4; ++head) {
        EXPECT_EQ(c.out.get(0, head, 0, 0), 0.0);
        EXPECT_EQ(c.lse.get(0, head, 0, 0), -std::numeric_limits<double>::infinity());
      }
    }
  }
}

TEST_P(DecodeAttention, BadTokensBeyondTheLengthAreNeverRead) {
  for (const DType dtype : kDTypes) {
    AttentionCase clean(make_shape(2, 4, 2, 3, 600, 24, 24, dtype), kCausal);
    AttentionCase dirty(clean.shape, kCausal);
    for (AttentionCase* c : {&clean, &dirty}) c->use_seqlens({70, 530});
    dirty.k.for_each([&](auto b, auto h, auto s, auto x) {
      if (s < dirty.seqlens[static_cast<std::size_t>(b)]) return;
      dirty.k.set(b, h, s, x, std::nan(""));
      dirty.v.set(b, h, s, x, std::numeric_limits<double>::infinity());
    });
    run(clean);
    run(dirty);
    EXPECT_EQ(clean.out.values(), dirty.out.values());
    EXPECT_EQ(clean.lse.values(), dirty.lse.values());
  }
}

TEST_P(DecodeAttention, BadKeysAndValuesReachOnlyQueriesThatSeeThem) {
  constexpr std::int64_t kQueries = 6, kLength = 520;
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    for (const std::int64_t token : {kLength - 1, kLength - 3, kLength - kQueries}) {
      AttentionCase clean(make_shape(1, 3, 1, kQueries, kLength, 8, 8), kCausal);
      AttentionCase dirty(clean.shape, kCausal);
      dirty.v.fill_row(token, bad);
      if (std::isnan(bad)) dirty.k.fill_row(token, bad);
      run(clean);
      run(dirty);
      dirty.out.for_each([&](auto b, auto h, auto q, auto x) {
        if (reference_visible(clean.shape, kCausal, b, q, token)) {
          ASSERT_FALSE(std::isfinite(dirty.out.get(b, h, q, x))) << "query " << q;
        } else {
          ASSERT_EQ(dirty.out.get(b, h, q, x), clean.out.get(b, h, q, x)) << "query " << q;
        }
      });
    }
  }
}

TEST_P(DecodeAttention, ScoresOfMinusInfinityAreAnEmptyRow) {
  AttentionCase c(make_shape(1, 2, 1, 1, 600, 4, 4), kCausal);
  for (std::int64_t x = 0; x < 4; ++x) c.q.set(0, 1, 0, x, 3e38);
  c.k.for_each([&](auto b, auto h, auto s, auto x) { c.k.set(b, h, s, x, -1e30); });
  c.score.scale = 1.0;
  run(c);
  EXPECT_EQ(c.lse.get(0, 1, 0, 0), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(c.out.get(0, 1, 0, 0), 0.0);
}

TEST_P(DecodeAttention, LargeScoresStayExact) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    AttentionCase c(make_shape(1, 2, 1, 1, 2000, 16, 16, dtype), kCausal);
    c.score.scale = 10.0;
    run(c);
    const ReferenceResult expected = reference_attention(c.shape, c.mask, c.score, c.q, c.k, c.v);
    // A score of size s carries an error of s times the rounding, and exp makes it relative.
    EXPECT_TRUE(all_close(c.out.values(), expected.out,
                          magnitude_of(expected.lse) * tolerance(dtype, 1.0, 2000)));
  }
}

TEST_P(DecodeAttention, SameBitsForAnyNumberOfWorkersAndForABatchSlice) {
  for (const DType dtype : kDTypes) {
    AttentionCase all(make_shape(3, 4, 2, 2, 1500, 24, 16, dtype), kCausal);
    run(all, 1);
    const auto out = all.out.values();
    const auto lse = all.lse.values();
    for (const int workers : {2, 7}) {
      run(all, workers);
      EXPECT_EQ(all.out.values(), out) << workers;
      EXPECT_EQ(all.lse.values(), lse) << workers;
    }
    for (std::int64_t b = 0; b < 3; ++b) {
      AttentionCase one(make_shape(1, 4, 2, 2, 1500, 24, 16, dtype), kCausal);
      AttentionArgs args = one.forward_args();
      args.q = batch_slice(all.q.view(), b);
      args.k = batch_slice(all.k.view(), b);
      args.v = batch_slice(all.v.view(), b);
      const KernelPlan plan = cpu::plan_decode_attention(one.shape, 2);
      Workspace workspace(plan.workspace_bytes);
      cpu::decode_attention(args, plan, workspace.span(), threads());
      const auto size = static_cast<std::ptrdiff_t>(out.size()) / 3;
      EXPECT_EQ(one.out.values(),
                std::vector<double>(out.begin() + b * size, out.begin() + (b + 1) * size));
    }
  }
}

TEST_P(DecodeAttention, WorkspaceIsSmallNextToTheCache) {
  const AttentionShape shape = make_shape(1, 32, 8, 1, 65536, 128, 128);
  const std::int64_t cache_bytes = 2 * 8 * 65536 * 128 * 4;
  const KernelPlan one = cpu::plan_decode_attention(shape, 1);
  const KernelPlan four = cpu::plan_decode_attention(shape, 4);
  EXPECT_EQ(four.num_workers, 4);
  EXPECT_LT(four.workspace_bytes, cache_bytes / 500);
  EXPECT_LT(four.workspace_bytes - one.workspace_bytes, 3 * 16384);
}

TEST_P(DecodeAttention, PlanNamesTheKernelThatRuns) {
  for (const DType dtype : kDTypes) {
    for (const std::int64_t queries : {1, 7, 8, 16}) {
      const AttentionShape shape = make_shape(1, 4, 2, queries, 600, 64, 64, dtype);
      const bool by_tiles =
          GetParam() == cpu::Isa::kAvx512Amx && dtype == DType::kBFloat16 && queries >= 8;
      const std::string expected = by_tiles ? "flash_attention_cpu_" : "decode_attention_cpu_";
      const std::string name = cpu::plan_decode_attention(shape, 1).kernel_name;
      EXPECT_EQ(name.substr(0, expected.size()), expected);
    }
  }
}

TEST_P(DecodeAttention, MostQueriesInEveryDtype) {
  for (const DType dtype : kDTypes) {
    for (const std::int64_t queries : {7, 8, 16}) {
      AttentionCase c(make_shape(2, 4, 2, queries, 600, 64, 48, dtype), kCausal);
      c.use_seqlens({600, 9});
      expect_formula(c);
    }
  }
}

TEST_P(DecodeAttention, RefusesWhatItCannotDo) {
  EXPECT_THROW(cpu::plan_decode_attention(make_shape(1, 1, 1, 1, 1, 257, 8), 1), UnsupportedError);
  EXPECT_THROW(cpu::plan_decode_attention(make_shape(1, 1, 1, 17, 20, 8, 8), 1), UnsupportedError);
  EXPECT_THROW(cpu::plan_decode_attention(make_shape(1, 3, 2, 1, 1, 8, 8), 1), UnsupportedError);
  AttentionCase c(make_shape(1, 1, 1, 2, 9, 8, 8), kCausal);
  const KernelPlan plan = cpu::plan_decode_attention(c.shape, 1);
  Workspace workspace(plan.workspace_bytes);
  Workspace small(plan.workspace_bytes / 2);
  EXPECT_THROW(cpu::decode_attention(c.forward_args(), plan, small.span(), threads()), Error);
  c.use_seqlens({10});
  EXPECT_THROW(cpu::decode_attention(c.forward_args(), plan, workspace.span(), threads()), Error);
  c.use_seqlens({9});
  c.score.softcap = 1.0;
  EXPECT_THROW(cpu::decode_attention(c.forward_args(), plan, workspace.span(), threads()),
               UnsupportedError);
  c.score.softcap = 0.0;
  c.mask.causal = false;
  EXPECT_THROW(cpu::decode_attention(c.forward_args(), plan, workspace.span(), threads()),
               UnsupportedError);
}

}  // namespace
}  // namespace attnlab::testing
