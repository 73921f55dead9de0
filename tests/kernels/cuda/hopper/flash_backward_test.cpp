#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "kernels/core/error.h"
#include "tests/kernels/cuda/hopper/backward_case.h"
#include "tests/support/plain_attention.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

TEST(HopperFlashBackward, HandComputed) {
  // One query, two keys with scores 0 and ln 3: weights 1/4 and 3/4. float16 holds ln 3 within
  // 2^-11 and the weights within 2^-12.
  DeviceCase c(half_shape(1, 1, 1, 1, 2, 8, 8, DType::kFloat16), {});
  c.score.scale = 1.0;
  for (HostTensor* tensor : {&c.q, &c.k, &c.v, &c.grad_out}) {
    tensor->for_each([&](auto b, auto h, auto s, auto i) { tensor->set(b, h, s, i, 0.0); });
  }
  c.q.set(0, 0, 0, 0, 1.0);
  c.k.set(0, 0, 1, 0, std::log(3.0));
  c.v.set(0, 0, 0, 0, 4.0);
  c.v.set(0, 0, 1, 1, 8.0);
  c.grad_out.set(0, 0, 0, 0, 1.0);
  c.run_forward(kHopper);
  // dP = (4, 0), sum(dO * O) = 1, dS = (1/4 * 3, 3/4 * -1).
  c.run_backward(kHopper);
  EXPECT_NEAR(c.grad_q.get(0, 0, 0, 0), -0.75 * std::log(3.0), 2e-3);
  EXPECT_NEAR(c.grad_k.get(0, 0, 0, 0), 0.75, 2e-3);
  EXPECT_NEAR(c.grad_k.get(0, 0, 1, 0), -0.75, 2e-3);
  EXPECT_NEAR(c.grad_v.get(0, 0, 0, 0), 0.25, 2e-3);
  EXPECT_NEAR(c.grad_v.get(0, 0, 1, 0), 0.75, 2e-3);
  EXPECT_EQ(c.grad_v.get(0, 0, 1, 1), 0.0);
}

TEST(HopperFlashBackward, MasksTimesLengths) {
  for (const MaskOptions& mask : all_masks()) {
    for (const auto& [nq, nk] : std::vector<std::pair<int, int>>{
             {1, 1}, {1, 300}, {13, 7}, {64, 128}, {130, 31}, {200, 257}}) {
      DeviceCase(half_shape(1, 1, 1, nq, nk, 16, 8), mask).expect_both(kHopper);
    }
  }
}

TEST(HopperFlashBackward, TilesOfEveryHeadDim) {
  for (const auto& [d, dv] :
       std::vector<std::pair<int, int>>{{8, 8}, {64, 24}, {72, 128}, {128, 96}, {128, 128}}) {
    for (const DType dtype : {DType::kBFloat16, DType::kFloat16}) {
      DeviceCase(half_shape(1, 1, 1, 150, 190, d, dv, dtype), {true}).expect_both(kHopper);
    }
  }
}

TEST(HopperFlashBackward, LayoutsAndGroupedHeads) {
  for (const Layout layout : {Layout::kHeadsFirst, Layout::kSeqlenFirstAligned}) {
    DeviceCase(half_shape(2, 4, 2, 70, 90, 64, 64), {true}, layout).expect_both(kHopper);
    DeviceCase(half_shape(2, 3, 1, 70, 90, 128, 72), {false, 40, 0}, layout).expect_both(kHopper);
  }
}

TEST(HopperFlashBackward, ManyBlocksOfColumns) {
  // Rings wrap many times, also from one head of a group to the next.
  DeviceCase(half_shape(1, 4, 2, 300, 500, 128, 128), {true}).expect_both(kHopper);
  DeviceCase(half_shape(1, 3, 1, 400, 400, 64, 64), {false, 200, 90}).expect_both(kHopper);
}

TEST(HopperFlashBackward, LengthsOfBatchItems) {
  for (const MaskOptions& mask : {MaskOptions{}, MaskOptions{true}, MaskOptions{false, 30, 9}}) {
    DeviceCase c(half_shape(4, 2, 1, 20, 300, 32, 16), mask);
    c.use_seqlens({0, 300, 1, 129});
    c.expect_both(kHopper);
  }
}

TEST(HopperFlashBackward, RowsWithoutKeysAndEmptySizes) {
  // The first 60 queries lie before the first key.
  DeviceCase c(half_shape(1, 2, 1, 100, 40, 64, 64), {true});
  c.expect_both(kHopper);
  for (std::int64_t row = 0; row < 60; ++row) EXPECT_EQ(c.grad_q.get(0, 1, row, 5), 0.0);
  DeviceCase no_keys(half_shape(1, 1, 1, 70, 0, 64, 64), {});
  no_keys.expect_both(kHopper);
  DeviceCase no_queries(half_shape(1, 1, 1, 0, 70, 64, 64), {});
  no_queries.run_backward(kHopper);
  for (const double x : no_queries.grad_k.values()) EXPECT_EQ(x, 0.0);
  for (const double x : no_queries.grad_v.values()) EXPECT_EQ(x, 0.0);
}

TEST(HopperFlashBackward, ScoresOfMinusInfinityAreAnEmptyRow) {
  // 3e38 * -1e30 overflows in float32 to -inf for every key: no NaN may come of it.
  DeviceCase c(half_shape(1, 1, 1, 3, 70, 8, 8), {});
  for (std::int64_t x = 0; x < 8; ++x) c.q.set(0, 0, 1, x, 3e38);
  c.k.for_each([&](auto b, auto h, auto s, auto x) { c.k.set(b, h, s, x, -1e30); });
  c.score.scale = 1.0;
  c.run_forward(kHopper);
  c.run_backward(kHopper);
  EXPECT_EQ(c.grad_q.get(0, 0, 1, 0), 0.0);
  for (const double x : c.grad_v.values()) EXPECT_TRUE(std::isfinite(x));
}

TEST(HopperFlashBackward, SameBitsForABatchSlice) {
  DeviceCase all(half_shape(3, 2, 1, 150, 200, 64, 64), {true});
  all.run_forward(kHopper);
  all.run_backward(kHopper);
  AttentionShape one = all.shape;
  one.batch = 1;
  DeviceCase slice(one, {true});
  const auto copy = [](HostTensor& to, const HostTensor& from) {
    to.for_each([&](auto, auto h, auto s, auto i) { to.set(0, h, s, i, from.get(2, h, s, i)); });
  };
  for (auto [to, from] : {std::pair{&slice.q, &all.q},
                          {&slice.k, &all.k},
                          {&slice.v, &all.v},
                          {&slice.grad_out, &all.grad_out}}) {
    copy(*to, *from);
  }
  slice.run_forward(kHopper);
  slice.run_backward(kHopper);
  for (auto [part, whole] : {std::pair{&slice.grad_q, &all.grad_q},
                             {&slice.grad_k, &all.grad_k},
                             {&slice.grad_v, &all.grad_v}}) {
    part->for_each([&, p = part, w = whole](auto, auto h, auto s, auto i) {
      ASSERT_EQ(p->get(0, h, s, i), w->get(2, h, s, i));
    });
  }
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}

TEST(HopperFlashBackward, ErrorsStayNearThoseOfThePlainFormula) {
  // Sharp rows and values with a common mean, as text has them.
  for (const bool sharp : {false, true}) {
    for (const auto& [dtype, dim] : {std::pair{DType::kBFloat16, 56}, {DType::kFloat16, 128}}) {
      DeviceCase c(half_shape(1, 1, 1, 100, 217, dim, dim, dtype), {true});
      if (sharp) {
        c.q.fill_normal(1, 2.0);
        c.k.fill_normal(2, 3.0);
        c.v.for_each([&](auto b, auto h, auto s, auto x) {
          c.v.set(b, h, s, x, c.v.get(b, h, s, x) + 3.0);
        });
      }
      c.run_forward(kHopper);
      c.run_backward(kHopper);
      const PlainInputs inputs{c.shape, c.mask, c.score, &c.q, &c.k, &c.v, &c.grad_out};
      const PlainResult wide = wide_attention(inputs);
      const PlainResult plain = plain_attention(inputs);
      const auto expect_ratio = [&](const HostTensor& actual, const std::vector<double>& formula,
                                    const std::vector<double>& exact, const char* what) {
        EXPECT_LE(distance(actual.values(), exact), 3.0 * distance(formula, exact))
            << what << (sharp ? ", sharp, " : ", ") << c.describe();
      };
      expect_ratio(c.grad_q, plain.grad_q, wide.grad_q, "grad_q");
      expect_ratio(c.grad_k, plain.grad_k, wide.grad_k, "grad_k");
      expect_ratio(c.grad_v, plain.grad_v, wide.grad_v, "grad_v");
    }
  }
}

TEST(HopperFlashBackward, RefusesWithAReason) {
  const auto refused = [](const AttentionBackwardArgs& args, const cuda::DeviceModel& device) {
    if (cuda::hopper::supports_backward(args, device)) return false;
    EXPECT_THROW(cuda::hopper::run_backward(args, {}, {}, device, nullptr), UnsupportedError);
    return true;
  };
  HopperCase c(half_shape(2, 2, 1, 40, 40, 64, 64), {});
  const AttentionBackwardArgs good = c.backward_args();
  EXPECT_TRUE(cuda::hopper::supports_backward(good, cuda::kH100));
  EXPECT_TRUE(refused(good, cuda::kA100));
  AttentionBackwardArgs args = good;
  args.score.softcap = 5.0;
  EXPECT_TRUE(refused(args, cuda::kH100));
  args = good;
  args.score.scale = 0.0;
  EXPECT_TRUE(refused(args, cuda::kH100));
  args = good;
  args.grad_out.data = static_cast<std::byte*>(args.grad_out.data) + 2;
  EXPECT_TRUE(refused(args, cuda::kH100));
  args = good;
  args.grad_k.strides[2] += 1;
  EXPECT_TRUE(refused(args, cuda::kH100));
  HopperCase wide(half_shape(1, 1, 1, 8, 8, 136, 64), {});
  EXPECT_TRUE(refused(wide.backward_args(), cuda::kH100));
  EXPECT_THROW(cuda::hopper::run_backward(good, {}, {}, cuda::kH100, nullptr), Error);
}

TEST(HopperFlashBackward, NamesOfKernelsAndWorkspace) {
  AttentionShape shape = half_shape(2, 3, 3, 8, 9, 64, 64);
  const KernelPlan plan = cuda::hopper::plan_backward(shape, cuda::kH100);
  EXPECT_STREQ(plan.kernel_name, "cuda_flash_backward_sm90_bf16");
  EXPECT_EQ(plan.workspace_bytes, 2 * 2 * 3 * 8 * 4);
  shape.dtype = DType::kFloat16;
  EXPECT_STREQ(cuda::hopper::plan_backward(shape, cuda::kH100).kernel_name,
               "cuda_flash_backward_sm90_f16");
  shape.head_dim = 129;
  EXPECT_THROW(cuda::hopper::plan_backward(shape, cuda::kH100), UnsupportedError);
}

}  // namespace
}  // namespace attnlab::testing
