// Linear attention on CUDA against the formulas: sizes, options, types, schedules.
#include "kernels/cuda/linear/linear_attention.h"

#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/kernels/cuda/linear/linear_case.h"

namespace attnlab::testing {
namespace {

// Small dims have chunks of 128 tokens (kernels/cuda/linear/layout.h).
constexpr std::int64_t kChunk = 128;

TEST(CudaLinearAttention, HandComputed) {
  // Identity features, two tokens: out_0 = v_0, out_1 = (2*1*v_0*g + 2*3*v_1) / (2*1*g + 2*3), g =
  // 1/2.
  LinearCase c(make_shape(1, 1, 1, 2, 2, 1, 1), true, true, FeatureMapKind::kIdentity);
  c.decay = {0.0f, std::log(0.5f)};
  c.options.log_decay = c.decay.data();
  c.options.decay_token_stride = 1;
  c.q.set(0, 0, 0, 0, 5.0);
  c.q.set(0, 0, 1, 0, 2.0);
  c.k.set(0, 0, 0, 0, 1.0);
  c.k.set(0, 0, 1, 0, 3.0);
  c.v.set(0, 0, 0, 0, 10.0);
  c.v.set(0, 0, 1, 0, 20.0);
  c.run();
  EXPECT_NEAR(c.out.get(0, 0, 0, 0), 10.0, 1e-5);
  EXPECT_NEAR(c.out.get(0, 0, 1, 0), 130.0 / 7.0, 1e-5);
}

TEST(CudaLinearAttention, Lengths) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const std::int64_t n : {1, 17, 63, 64, 65, 129, 260}) {
      LinearCase(make_shape(1, 1, 1, n, n, 8, 11, dtype)).expect_reference();
    }
  }
}

TEST(CudaLinearAttention, HeadDims) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const auto& [d, dv] : std::vector<std::pair<int, int>>{{1, 3}, {72, 20}, {16, 136}}) {
      LinearCase(make_shape(1, 1, 1, 70, 70, d, dv, dtype)).expect_reference();
    }
  }
}

TEST(CudaLinearAttention, LargestHeadDims) {
  // Two chunks of 512 tokens, and in float64 left operands that do not fit into shared memory.
  LinearCase(make_shape(1, 1, 1, 520, 520, 250, 16, DType::kFloat16)).expect_reference();
  LinearCase(make_shape(1, 1, 1, 20, 20, 256, 256, DType::kFloat64)).expect_reference();
}

TEST(CudaLinearAttention, OptionsAndDtypes) {
  for (const DType dtype : kDTypes) {
    LinearCase plain(make_shape(1, 2, 1, 66, 66, 12, 9, dtype), true, false, FeatureMapKind::kRelu,
                     Layout::kSeqlenFirst);
    plain.expect_reference();
    for (const bool normalize : {false, true}) {
      LinearCase c(make_shape(1, 2, 1, 140, 140, 12, 9, dtype), true, normalize);
      c.use_decay(normalize);
      c.expect_reference();
    }
  }
}

TEST(CudaLinearAttention, GroupsAndBatchItems) {
  LinearCase c(make_shape(2, 4, 2, 140, 140, 12, 9, DType::kBFloat16));
  c.expect_reference();
  c.use_decay(true);
  c.expect_reference();
}

TEST(CudaLinearAttention, NotCausalWithCrossLengths) {
  for (const DType dtype : kDTypes) {
    for (const bool normalize : {false, true}) {
      for (const auto& [nq, nk] : std::vector<std::pair<int, int>>{{1, 70}, {70, 130}}) {
        LinearCase(make_shape(1, 2, 1, nq, nk, 12, 20, dtype), false, normalize).expect_reference();
      }
    }
  }
}

TEST(CudaLinearAttention, SchedulesOfThreads) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat16}) {
    run_kernels_everywhere([&] {
      LinearCase causal(make_shape(1, 1, 1, kChunk + 2, kChunk + 2, 10, 6, dtype));
      causal.use_decay(true);
      causal.expect_reference();
    });
    run_kernels_everywhere(
        [&] { LinearCase(make_shape(1, 1, 1, 66, 3, 6, 70, dtype), false).expect_reference(); });
  }
}

TEST(CudaLinearAttention, TensorsThatAreNotAligned) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    LinearCase c(make_shape(2, 2, 1, 67, 67, 16, 24, dtype));
    c.offset = 1;
    c.expect_reference();
    const auto apart = c.results();
    c.offset = 0;
    c.run();
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(c.results()[i], apart[i]) << "result " << i;
  }
}

TEST(CudaLinearAttention, BatchSliceHasTheSameBits) {
  LinearCase both(make_shape(2, 2, 1, 130, 130, 12, 9));
  both.use_decay(false);
  both.run();
  LinearCase one(make_shape(1, 2, 1, 130, 130, 12, 9));
  one.use_decay(false);
  one.decay = {both.decay[2], both.decay[3]};
  const auto copy = [](HostTensor& to, const HostTensor& from) {
    to.for_each([&](auto b, auto h, auto s, auto x) { to.set(b, h, s, x, from.get(1, h, s, x)); });
  };
  copy(one.q, both.q);
  copy(one.k, both.k);
  copy(one.v, both.v);
  copy(one.grad_out, both.grad_out);
  one.run();
  const auto expect_equal = [](const HostTensor& slice, const HostTensor& whole) {
    slice.for_each([&](auto b, auto h, auto s, auto x) {
      ASSERT_EQ(slice.get(b, h, s, x), whole.get(1, h, s, x)) << "row " << s;
    });
  };
  expect_equal(one.out, both.out);
  expect_equal(one.grad_q, both.grad_q);
  expect_equal(one.grad_k, both.grad_k);
  expect_equal(one.grad_v, both.grad_v);
  expect_equal(one.grad_decay, both.grad_decay);
}

}  // namespace
}  // namespace attnlab::testing
