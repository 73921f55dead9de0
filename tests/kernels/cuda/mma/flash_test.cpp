#include "kernels/cuda/mma/flash.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "tests/kernels/cuda/device_case.h"
#include "tests/support/plain_attention.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

constexpr FlashFamily kMma = {cuda::mma::plan_forward, cuda::mma::run_forward,
                              cuda::mma::plan_backward, cuda::mma::run_backward};
constexpr DType kBoth[] = {DType::kBFloat16, DType::kFloat16};
AttentionShape half_shape(std::int64_t batch, std::int64_t heads, std::int64_t kv_heads,
                          std::int64_t seqlen_q, std::int64_t seqlen_k, std::int64_t head_dim,
                          std::int64_t head_dim_v, DType dtype = DType::kBFloat16) {
  return make_shape(batch, heads, kv_heads, seqlen_q, seqlen_k, head_dim, head_dim_v, dtype);
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(MmaFlash, HandComputed) {
  // One query, two keys with scores 0 and ln 3: weights 1/4 and 3/4. float16 holds ln 3 within
  // 2^-11 and the weights within 2^-12.
  DeviceCase c(half_shape(1, 1, 1, 1, 2, 1, 2, DType::kFloat16), {});
  c.score.scale = 1.0;
  c.q.set(0, 0, 0, 0, 1.0);
  c.k.set(0, 0, 0, 0, 0.0);
  c.k.set(0, 0, 1, 0, std::log(3.0));
  c.v.set(0, 0, 0, 0, 4.0);
  c.v.set(0, 0, 0, 1, 0.0);
  c.v.set(0, 0, 1, 0, 0.0);
  c.v.set(0, 0, 1, 1, 8.0);
  c.grad_out.set(0, 0, 0, 0, 1.0);
  c.grad_out.set(0, 0, 0, 1, 0.0);
  c.run_forward(kMma);
  EXPECT_NEAR(c.out.get(0, 0, 0, 0), 1.0, 2e-3);
  EXPECT_NEAR(c.out.get(0, 0, 0, 1), 6.0, 6e-3);
  EXPECT_NEAR(c.lse.get(0, 0, 0, 0), std::log(4.0), 5e-4);
  // dP = (4, 0), sum(dO * O) = 1, dS = (1/4 * 3, 3/4 * -1).
  c.run_backward(kMma);
  EXPECT_NEAR(c.grad_q.get(0, 0, 0, 0), -0.75 * std::log(3.0), 2e-3);
  EXPECT_NEAR(c.grad_k.get(0, 0, 0, 0), 0.75, 2e-3);
  EXPECT_NEAR(c.grad_k.get(0, 0, 1, 0), -0.75, 2e-3);
  EXPECT_NEAR(c.grad_v.get(0, 0, 0, 0), 0.25, 2e-3);
  EXPECT_NEAR(c.grad_v.get(0, 0, 1, 0), 0.75, 2e-3);
}

TEST(MmaFlash, EverySchedule) {
  run_kernels_everywhere([] {
    for (const DType dtype : kBoth) {
      DeviceCase c(half_shape(1, 2, 1, 70, 99, 20, 24, dtype), {true});
      c.expect_both(kMma);
    }
  });
}

TEST(MmaFlash, EveryScheduleWithGeneralScores) {
  run_kernels_everywhere([] {
    DeviceCase c(half_shape(2, 1, 1, 35, 70, 70, 7), {false, 9, 30});
    c.score.softcap = 2.0;
    c.use_alibi();
    c.use_seqlens({70, 41});
    c.expect_both(kMma);
  });
}

TEST(MmaFlash, MasksTimesLengths) {
  for (const MaskOptions& mask : all_masks()) {
    for (const auto& [nq, nk] :
         std::vector<std::pair<int, int>>{{1, 1}, {1, 67}, {13, 7}, {64, 65}, {97, 33}}) {
      DeviceCase c(half_shape(1, 2, 1, nq, nk, 8, 5), mask);
      c.expect_both(kMma);
    }
  }
}

TEST(MmaFlash, MasksInFloat16) {
  for (const MaskOptions& mask : all_masks()) {
    DeviceCase c(half_shape(1, 2, 1, 33, 65, 8, 5, DType::kFloat16), mask);
    c.expect_both(kMma);
  }
}

TEST(MmaFlash, HeadDims) {
  for (const DType dtype : kBoth) {
    for (const auto& [d, dv] : std::vector<std::pair<int, int>>{
             {1, 1}, {3, 17}, {64, 48}, {65, 96}, {33, 128}, {130, 255}, {256, 16}}) {
      DeviceCase c(half_shape(1, 1, 1, 18, 37, d, dv, dtype), {true});
      c.expect_both(kMma);
    }
  }
}

TEST(MmaFlash, GeneralScoresInEveryHeadDim) {
  for (const DType dtype : kBoth) {
    for (const int d : {16, 100, 136}) {
      DeviceCase c(half_shape(1, 2, 2, 20, 36, d, d, dtype), {true});
      c.score.softcap = 2.0;
      c.use_alibi();
      c.expect_both(kMma);
    }
  }
}

TEST(MmaFlash, ManyTilesAndGroupedHeads) {
  DeviceCase(half_shape(1, 3, 1, 130, 190, 64, 64), {true}).expect_both(kMma);
  DeviceCase(half_shape(1, 1, 1, 200, 150, 128, 80, DType::kFloat16), {false, 70, 20})
      .expect_both(kMma);
  DeviceCase(half_shape(1, 1, 1, 140, 100, 256, 256), {}).expect_both(kMma);
}

TEST(MmaFlash, EveryScheduleOfTheWidestTile) {
  run_kernels_everywhere(
      [] { DeviceCase(half_shape(1, 1, 1, 40, 99, 200, 256), {true}).expect_both(kMma); });
}

TEST(MmaFlash, LayoutsAndAlignment) {
  for (const DType dtype : kBoth) {
    for (const Layout layout : {Layout::kHeadsFirst, Layout::kSeqlenFirst}) {
      for (const std::int64_t offset : {0, 1}) {
        DeviceCase c(half_shape(2, 4, 2, 21, 35, 20, 8, dtype), {true}, layout);
        c.offset = offset;
        c.expect_both(kMma);
      }
    }
  }
}

TEST(MmaFlash, LengthsOfBatchItems) {
  for (const MaskOptions& mask : {MaskOptions{}, MaskOptions{true}, MaskOptions{false, 7, 3}}) {
    DeviceCase c(half_shape(4, 2, 2, 20, 75, 16, 8), mask);
    c.use_alibi();
    c.use_seqlens({0, 75, 1, 37});
    c.expect_both(kMma);
  }
}

TEST(MmaFlash, RowsWithoutKeysAreZero) {
  // The first 60 queries lie before the first key.
  DeviceCase c(half_shape(1, 2, 1, 100, 40, 8, 8), {true});
  c.run_forward(kMma);
  c.run_backward(kMma);
  for (std::int64_t i = 0; i < 60; ++i) {
    EXPECT_EQ(c.lse.get(0, 1, i, 0), -kInfinity);
    for (std::int64_t x = 0; x < 8; ++x) {
      EXPECT_EQ(c.out.get(0, 1, i, x), 0.0);
      EXPECT_EQ(c.grad_q.get(0, 1, i, x), 0.0);
    }
  }
  EXPECT_NE(c.out.get(0, 1, 60, 0), 0.0);
}

TEST(MmaFlash, EmptySizes) {
  for (const AttentionShape& shape :
       {half_shape(2, 2, 2, 5, 0, 8, 8), half_shape(2, 2, 2, 0, 5, 8, 8),
        half_shape(0, 2, 2, 5, 5, 8, 8)}) {
    DeviceCase c(shape, {});
    c.expect_both(kMma);
  }
}

TEST(MmaFlash, ScoresOfMinusInfinityAreAnEmptyRow) {
  // 3e38 * -1e30 overflows in float32 to -inf for every key: no NaN may come of it.
  DeviceCase c(half_shape(1, 1, 1, 3, 70, 4, 4), {});
  for (std::int64_t x = 0; x < 4; ++x) c.q.set(0, 0, 1, x, 3e38);
  c.k.for_each([&](auto b, auto h, auto s, auto x) { c.k.set(b, h, s, x, -1e30); });
  c.score.scale = 1.0;
  c.run_forward(kMma);
  EXPECT_EQ(c.lse.get(0, 0, 1, 0), -kInfinity);
  EXPECT_EQ(c.out.get(0, 0, 1, 0), 0.0);
  c.run_backward(kMma);
  EXPECT_EQ(c.grad_q.get(0, 0, 1, 0), 0.0);
}

TEST(MmaFlash, ScalesThatAreNotAboveZero) {
  for (const double scale : {0.0, -0.3}) {
    DeviceCase c(half_shape(1, 1, 1, 40, 70, 16, 16), {true});
    c.score.scale = scale;
    c.expect_both(kMma);
  }
}

TEST(MmaFlash, SameBitsForABatchSlice) {
  const AttentionShape shape = half_shape(3, 2, 1, 40, 70, 24, 16);
  DeviceCase all(shape, {true});
  all.run_forward(kMma);
  all.run_backward(kMma);
  AttentionShape slice = shape;
  slice.batch = 1;
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    DeviceCase one(slice, {true});
    const auto copy = [&](HostTensor& to, const HostTensor& from) {
      to.for_each(
          [&](auto i, auto h, auto s, auto c) { to.set(i, h, s, c, from.get(b, h, s, c)); });
    };
    copy(one.q, all.q);
    copy(one.k, all.k);
    copy(one.v, all.v);
    copy(one.grad_out, all.grad_out);
    one.run_forward(kMma);
    one.run_backward(kMma);
    const auto expect_slice = [&](const HostTensor& part, const HostTensor& whole) {
      part.for_each([&](auto i, auto h, auto s, auto c) {
        ASSERT_EQ(part.get(i, h, s, c), whole.get(b, h, s, c));
      });
    };
    expect_slice(one.out, all.out);
    expect_slice(one.lse, all.lse);
    expect_slice(one.grad_q, all.grad_q);
    expect_slice(one.grad_k, all.grad_k);
    expect_slice(one.grad_v, all.grad_v);
  }
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

TEST(MmaFlash, ErrorsStayNearThoseOfThePlainFormula) {
  // Sharp rows and values with a common mean, as text has them.
  for (const bool sharp : {false, true}) {
    for (const DType dtype : kBoth) {
      DeviceCase c(half_shape(1, 1, 1, 100, 217, 59, 59, dtype), {true});
      if (sharp) {
        c.q.fill_normal(1, 2.0);
        c.k.fill_normal(2, 3.0);
        c.v.for_each([&](auto b, auto h, auto s, auto x) {
          c.v.set(b, h, s, x, c.v.get(b, h, s, x) + 3.0);
        });
      }
      c.run_forward(kMma);
      c.run_backward(kMma);
      const PlainInputs inputs{c.shape, c.mask, c.score, &c.q, &c.k, &c.v, &c.grad_out};
      const PlainResult wide = wide_attention(inputs);
      const PlainResult plain = plain_attention(inputs);
      const auto expect_ratio = [&](const HostTensor& actual, const std::vector<double>& formula,
                                    const std::vector<double>& exact, double allowed,
                                    const char* what) {
        EXPECT_LE(distance(actual.values(), exact), allowed * distance(formula, exact))
            << what << (sharp ? ", sharp, " : ", ") << c.describe();
      };
      expect_ratio(c.out, plain.out, wide.out, 2.0, "out");
      expect_ratio(c.grad_q, plain.grad_q, wide.grad_q, 3.0, "grad_q");
      expect_ratio(c.grad_k, plain.grad_k, wide.grad_k, 3.0, "grad_k");
      expect_ratio(c.grad_v, plain.grad_v, wide.grad_v, 3.0, "grad_v");
    }
  }
}

TEST(MmaFlash, RefusesWhatItCannotDo) {
  const cuda::DeviceModel& device = device_model();
  EXPECT_TRUE(cuda::mma::supports_forward(half_shape(1, 2, 1, 9, 9, 256, 1), device));
  for (const AttentionShape& shape :
       {half_shape(1, 1, 1, 1, 1, 257, 8), half_shape(1, 1, 1, 1, 1, 8, 0),
        half_shape(1, 3, 2, 1, 1, 8, 8), half_shape(1, 1, 1, 1, 1, 8, 8, DType::kFloat32),
        half_shape(70000, 64, 1, 16384, 16384, 8, 8)}) {
    EXPECT_FALSE(cuda::mma::supports_forward(shape, device));
    EXPECT_FALSE(cuda::mma::supports_backward(shape, device));
    EXPECT_THROW(cuda::mma::plan_forward(shape, device), UnsupportedError);
    EXPECT_THROW(cuda::mma::plan_backward(shape, device), UnsupportedError);
  }
  // As on devices of compute capability 8.6 and 8.9.
  cuda::DeviceModel small_device = device;
  small_device.shared_bytes_per_block = 99 * 1024;
  EXPECT_TRUE(cuda::mma::supports_forward(half_shape(1, 1, 1, 9, 9, 128, 128), small_device));
  EXPECT_FALSE(cuda::mma::supports_forward(half_shape(1, 1, 1, 9, 9, 8, 129), small_device));
  EXPECT_FALSE(cuda::mma::supports_backward(half_shape(1, 1, 1, 9, 9, 129, 8), small_device));
  small_device.compute_capability = 75;
  EXPECT_FALSE(cuda::mma::supports_forward(half_shape(1, 1, 1, 9, 9, 8, 8), small_device));
  DeviceCase c(half_shape(1, 1, 1, 9, 9, 8, 8), {});
  const DeviceCopies copies(c, 0);
  const KernelPlan plan = cuda::mma::plan_backward(c.shape, device);
  const DeviceBuffer small(plan.workspace_bytes - 4);
  EXPECT_THROW(cuda::mma::run_backward(copies.backward_args(c), plan, small.span(), device, {}),
               Error);
}

TEST(MmaFlash, PlansNameTheKernelAndGrowWithTheRows) {
  const AttentionShape shape = half_shape(2, 8, 4, 512, 4096, 64, 64);
  EXPECT_STREQ(cuda::mma::plan_forward(shape, device_model()).kernel_name, "cuda_flash_mma_bf16");
  EXPECT_EQ(cuda::mma::plan_forward(shape, device_model()).workspace_bytes, 0);
  EXPECT_STREQ(cuda::mma::plan_backward(shape, device_model()).kernel_name,
               "cuda_flash_backward_mma_bf16");
  EXPECT_EQ(cuda::mma::plan_backward(shape, device_model()).workspace_bytes, 2 * 8 * 512 * 2 * 4);
}

}  // namespace
}  // namespace attnlab::testing
