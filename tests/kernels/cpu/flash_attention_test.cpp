#include "kernels/cpu/flash_attention.h"

#include <gtest/gtest.h>

#include "kernels/cpu/kernel_table.h"
#include "tests/kernels/cpu/attention_case.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

/// Every test runs once per instruction set of this machine.
class FlashAttention : public ::testing::TestWithParam<cpu::Isa> {
 protected:
  void SetUp() override { cpu::override_isa_for_testing(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Isa, FlashAttention, ::testing::ValuesIn(cpu::available_isas()),
                         [](const auto& set) { return cpu::isa_name(set.param); });

TEST_P(FlashAttention, HandComputed) {
  // Scores 0 and ln 3: weights 1/4 and 3/4.
  AttentionCase c(make_shape(1, 1, 1, 1, 2, 1, 2), {});
  c.score.scale = 1.0;
  c.q.set(0, 0, 0, 0, 1.0);
  c.k.set(0, 0, 0, 0, 0.0);
  c.k.set(0, 0, 1, 0, std::log(3.0));
  c.v.set(0, 0, 0, 0, 4.0);
  c.v.set(0, 0, 0, 1, 0.0);
  c.v.set(0, 0, 1, 0, 0.0);
  c.v.set(0, 0, 1, 1, 8.0);
  c.run_forward();
  EXPECT_NEAR(c.out.get(0, 0, 0, 0), 1.0, 1e-6);
  EXPECT_NEAR(c.out.get(0, 0, 0, 1), 6.0, 1e-6);
  EXPECT_NEAR(c.lse.get(0, 0, 0, 0), std::log(4.0), 1e-6);
  c.grad_out.set(0, 0, 0, 0, 1.0);
  c.grad_out.set(0, 0, 0, 1, 0.0);
  c.run_backward();
  // dS_0 = 1/4 * (4 - 1) = 3/4 = -dS_1.
  EXPECT_NEAR(c.grad_q.get(0, 0, 0, 0), -0.75 * std::log(3.0), 1e-6);
  EXPECT_NEAR(c.grad_k.get(0, 0, 0, 0), 0.75, 1e-6);
  EXPECT_NEAR(c.grad_k.get(0, 0, 1, 0), -0.75, 1e-6);
  EXPECT_NEAR(c.grad_v.get(0, 0, 0, 0), 0.25, 1e-6);
  EXPECT_NEAR(c.grad_v.get(0, 0, 1, 0), 0.75, 1e-6);
}

TEST_P(FlashAttention, MasksTimesLengths) {
  for (const MaskOptions& mask : all_masks()) {
    for (const auto& [nq, nk] : std::vector<std::pair<int, int>>{
             {1, 1}, {1, 67}, {13, 7}, {47, 65}, {49, 48}, {97, 129}, {130, 31}}) {
      AttentionCase c(make_shape(1, 2, 1, nq, nk, 8, 5), mask);
      c.expect_forward();
      c.expect_backward();
    }
  }
}

TEST_P(FlashAttention, HeadDims) {
  for (const auto& [d, dv] : std::vector<std::pair<int, int>>{
           {1, 1}, {3, 17}, {16, 64}, {64, 48}, {80, 80}, {96, 33}, {128, 112}, {256, 255}}) {
    AttentionCase c(make_shape(1, 1, 1, 50, 70, d, dv), {true});
    c.expect_forward();
    c.expect_backward();
  }
}

TEST_P(FlashAttention, DtypesAndLayouts) {
  for (const DType dtype : kDTypes) {
    for (const Layout layout : {Layout::kHeadsFirst, Layout::kSeqlenFirst}) {
      for (const bool causal : {false, true}) {
        AttentionCase c(make_shape(2, 4, 2, 53, 71, 19, 34, dtype), {causal}, layout);
        c.expect_forward();
        c.expect_backward();
      }
    }
  }
}

TEST_P(FlashAttention, SoftcapAndAlibi) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kBFloat16}) {
    for (const MaskOptions& mask : all_masks()) {
      AttentionCase c(make_shape(2, 2, 1, 51, 66, 16, 16, dtype), mask);
      c.score.softcap = 2.0;
      c.use_alibi();
      c.expect_forward();
      c.expect_backward();
    }
  }
}

TEST_P(FlashAttention, LengthsOfBatchItems) {
  for (const MaskOptions& mask : all_masks()) {
    AttentionCase c(make_shape(4, 2, 2, 20, 150, 16, 8), mask);
    c.use_alibi();
    c.use_seqlens({0, 150, 1, 77});
    c.expect_forward();
    c.expect_backward();
  }
}

TEST_P(FlashAttention, ManyKeyTilesInParts) {
  // Long enough for several parts of key tiles with one and with two kv_heads.
  for (const std::int64_t kv_heads : {1, 2}) {
    AttentionCase c(make_shape(2, 2, kv_heads, 40, 1700, 8, 8), {false, 900, -1});
    c.expect_backward();
  }
}

TEST_P(FlashAttention, LargeScoresStayExact) {
  AttentionCase c(make_shape(1, 1, 1, 60, 300, 16, 16, DType::kFloat64), {true});
  c.score.scale = 40.0;
  c.expect_forward();
  c.expect_backward();
}

TEST_P(FlashAttention, RowsWithoutKeysAreZero) {
  // The first 60 queries lie before the first key.
  AttentionCase c(make_shape(1, 2, 1, 100, 40, 8, 8), {true});
  c.run_forward();
  c.run_backward();
  for (std::int64_t i = 0; i < 60; ++i) {
    EXPECT_EQ(c.lse.get(0, 1, i, 0), -std::numeric_limits<double>::infinity());
    for (std::int64_t x = 0; x < 8; ++x) {
      EXPECT_EQ(c.out.get(0, 1, i, x), 0.0);
      EXPECT_EQ(c.grad_q.get(0, 1, i, x), 0.0);
    }
  }
  EXPECT_NE(c.out.get(0, 1, 60, 0), 0.0);
}

TEST_P(FlashAttention, NoKeysAtAll) {
  AttentionCase c(make_shape(2, 2, 2, 5, 0, 8, 8), {});
  c.expect_forward();
  c.expect_backward();
}

TEST_P(FlashAttention, SameBitsForAnyNumberOfWorkers) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    AttentionCase c(make_shape(2, 4, 2, 200, 500, 24, 16, dtype), {true});
    c.run_forward(1);
    c.run_backward(1);
    const auto outputs = [&] {
      return std::vector{c.out.values(), c.lse.values(), c.grad_q.values(), c.grad_k.values(),
                         c.grad_v.values()};
    };
    const auto expected = outputs();
    for (const int workers : {2, 5}) {
      c.run_forward(workers);
      c.run_backward(workers);
      EXPECT_EQ(outputs(), expected) << workers;
    }
  }
}

TEST_P(FlashAttention, SameBitsForABatchSlice) {
  const AttentionShape shape = make_shape(3, 2, 1, 70, 450, 24, 16);
  AttentionCase all(shape, {true});
  all.run_forward();
  all.run_backward();
  const auto out = all.out.values();
  const auto grad_q = all.grad_q.values();
  const auto grad_k = all.grad_k.values();
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    AttentionCase one(make_shape(1, 2, 1, 70, 450, 24, 16), {true});
    AttentionArgs args = one.forward_args();
    AttentionBackwardArgs grads = one.backward_args();
    args.q = grads.q = batch_slice(all.q.view(), b);
    args.k = grads.k = batch_slice(all.k.view(), b);
    args.v = grads.v = batch_slice(all.v.view(), b);
    grads.grad_out = batch_slice(all.grad_out.view(), b);
    const KernelPlan plan = cpu::plan_flash_attention(one.shape, 2);
    Workspace workspace(plan.workspace_bytes);
    cpu::flash_attention(args, plan, workspace.span(), threads());
    const KernelPlan backward = cpu::plan_flash_attention_backward(one.shape, 2);
    Workspace backward_workspace(backward.workspace_bytes);
    cpu::flash_attention_backward(grads, backward, backward_workspace.span(), threads());
    const auto slice = [&](const std::vector<double>& values) {
      const auto size = static_cast<std::ptrdiff_t>(values.size()) / 3;
      return std::vector<double>(values.begin() + b * size, values.begin() + (b + 1) * size);
    };
    EXPECT_EQ(one.out.values(), slice(out));
    EXPECT_EQ(one.grad_q.values(), slice(grad_q));
    EXPECT_EQ(one.grad_k.values(), slice(grad_k));
  }
}

}  // namespace
}  // namespace attnlab::testing
