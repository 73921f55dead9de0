#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "kernels/core/error.h"
#include "tests/kernels/cuda/hopper/hopper_case.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

TEST(HopperFlash, HandComputed) {
  run_kernels_everywhere([] {
    // Scores 0 and ln 3: weights 1/4 and 3/4. float16 holds ln 3 within 2^-11.
    HopperCase c(half_shape(1, 1, 1, 1, 2, 8, 8, DType::kFloat16), {});
    c.score.scale = 1.0;
    c.q.for_each([&](auto b, auto h, auto s, auto i) { c.q.set(b, h, s, i, i == 0 ? 1.0 : 0.0); });
    c.k.for_each([&](auto b, auto h, auto s, auto i) {
      c.k.set(b, h, s, i, s == 1 && i == 0 ? std::log(3.0) : 0.0);
    });
    c.v.for_each([&](auto b, auto h, auto s, auto i) { c.v.set(b, h, s, i, s == i ? 4.0 : 0.0); });
    c.run();
    EXPECT_NEAR(c.out.get(0, 0, 0, 0), 1.0, 2e-3);
    EXPECT_NEAR(c.out.get(0, 0, 0, 1), 3.0, 2e-3);
    EXPECT_EQ(c.out.get(0, 0, 0, 2), 0.0);
    EXPECT_NEAR(c.lse.get(0, 0, 0, 0), std::log(4.0), 5e-4);
  });
}

TEST(HopperFlash, MasksTimesLengths) {
  for (const MaskOptions& mask : all_masks()) {
    for (const auto& [nq, nk] : std::vector<std::pair<int, int>>{
             {1, 1}, {1, 300}, {13, 7}, {64, 128}, {65, 129}, {130, 31}, {200, 257}}) {
      HopperCase(half_shape(1, 1, 1, nq, nk, 16, 8), mask).expect();
    }
  }
}

TEST(HopperFlash, TilesOfEveryHeadDim) {
  for (const auto& [d, dv] : std::vector<std::pair<int, int>>{
           {8, 8}, {64, 24}, {72, 128}, {128, 96}, {136, 8}, {256, 200}}) {
    for (const DType dtype : {DType::kBFloat16, DType::kFloat16}) {
      HopperCase(half_shape(1, 1, 1, 150, 190, d, dv, dtype), {true}).expect();
    }
  }
}

TEST(HopperFlash, LayoutsAndGroupedHeads) {
  for (const Layout layout : {Layout::kHeadsFirst, Layout::kSeqlenFirstAligned}) {
    HopperCase(half_shape(2, 4, 2, 70, 90, 64, 64), {true}, layout).expect();
    HopperCase(half_shape(2, 3, 1, 70, 90, 128, 72), {false, 40, 0}, layout).expect();
  }
}

TEST(HopperFlash, ManyBlocksOfKeysAndTurns) {
  // Rings wrap many times; 8 to 12 tiles for 3 blocks.
  HopperCase(half_shape(1, 4, 1, 300, 700, 128, 128), {true}).expect();
  HopperCase(half_shape(1, 4, 4, 500, 500, 64, 64), {false, 300, 100}).expect();
  HopperCase(half_shape(2, 2, 2, 250, 300, 256, 256, DType::kFloat16), {}).expect();
}

TEST(HopperFlash, LengthsOfBatchItems) {
  for (const MaskOptions& mask : {MaskOptions{}, MaskOptions{true}, MaskOptions{false, 30, 9}}) {
    HopperCase c(half_shape(4, 2, 1, 20, 300, 32, 16), mask);
    c.use_seqlens({0, 300, 1, 129});
    c.expect();
  }
}

TEST(HopperFlash, RowsWithoutKeysAreZero) {
  // The first 60 queries lie before the first key.
  HopperCase c(half_shape(1, 2, 1, 100, 40, 64, 64), {true});
  c.run();
  for (std::int64_t row = 0; row < 60; ++row) {
    EXPECT_EQ(c.lse.get(0, 1, row, 0), -kInfinity);
    for (std::int64_t i = 0; i < 64; ++i) EXPECT_EQ(c.out.get(0, 1, row, i), 0.0);
  }
  c.compare_forward();
  HopperCase no_keys(half_shape(1, 1, 1, 70, 0, 64, 64), {});
  no_keys.expect();
}

TEST(HopperFlash, LargeScores) {
  // Weights of one key each, and maxima that keep growing to the left.
  HopperCase c(half_shape(1, 1, 1, 80, 400, 64, 64, DType::kFloat16), {true});
  c.score.scale = 8.0;
  c.k.for_each([&](auto b, auto h, auto s, auto i) {
    c.k.set(b, h, s, i, c.k.get(b, h, s, i) * static_cast<double>(400 - s) / 400.0);
  });
  c.run();
  const ReferenceResult expected = reference_attention(c.shape, c.mask, c.score, c.q, c.k, c.v);
  for (const double x : c.out.values()) EXPECT_TRUE(std::isfinite(x));
  EXPECT_TRUE(all_close(c.lse.values(), expected.lse, 1e-4 * magnitude_of(expected.lse)));
}

TEST(HopperFlash, SameBitsForABatchSliceAndAnyDevice) {
  HopperCase c(half_shape(3, 2, 1, 150, 200, 64, 64), {true});
  c.run();
  const std::vector<double> out = c.out.values();
  HopperCase other(c.shape, c.mask);
  other.run(cuda::kH100);
  EXPECT_EQ(out, other.out.values());
  AttentionShape one = c.shape;
  one.batch = 1;
  HopperCase slice(one, c.mask);
  for (auto [to, from] : {std::pair{&slice.q, &c.q}, {&slice.k, &c.k}, {&slice.v, &c.v}}) {
    to->for_each([&, t = to, f = from](auto, auto h, auto s, auto i) {
      t->set(0, h, s, i, f->get(2, h, s, i));
    });
  }
  slice.run();
  slice.out.for_each([&](auto, auto h, auto s, auto i) {
    ASSERT_EQ(slice.out.get(0, h, s, i), c.out.get(2, h, s, i));
  });
}

TEST(HopperFlash, RefusesWithAReason) {
  const auto refused = [](const AttentionArgs& args, const cuda::DeviceModel& device) {
    if (cuda::hopper::supports_forward(args, device)) return false;
    EXPECT_THROW(cuda::hopper::run_forward(args, {}, {}, device, nullptr), UnsupportedError);
    return true;
  };
  HopperCase c(half_shape(2, 2, 1, 40, 40, 64, 64), {});
  const AttentionArgs good = c.forward_args();
  EXPECT_TRUE(cuda::hopper::supports_forward(good, cuda::kH100));
  EXPECT_TRUE(refused(good, cuda::kA100));
  AttentionArgs args = good;
  args.score.softcap = 5.0;
  EXPECT_TRUE(refused(args, cuda::kH100));
  args = good;
  c.use_alibi();
  args.score.alibi_slopes = c.slopes.data();
  EXPECT_TRUE(refused(args, cuda::kH100));
  for (const double scale : {0.0, -1.0, kNan, kInfinity}) {
    args = good;
    args.score.scale = scale;
    EXPECT_TRUE(refused(args, cuda::kH100)) << scale;
  }
  args = good;
  args.k.data = static_cast<std::byte*>(args.k.data) + 2;
  EXPECT_TRUE(refused(args, cuda::kH100));
  args = good;
  args.v.strides[1] = 0;
  args.v.sizes[1] = 2;
  EXPECT_TRUE(refused(args, cuda::kH100));
  HopperCase odd(half_shape(1, 1, 1, 8, 8, 60, 64), {});
  EXPECT_TRUE(refused(odd.forward_args(), cuda::kH100));
  HopperCase single(make_shape(1, 1, 1, 8, 8, 64, 64), {});
  EXPECT_TRUE(refused(single.forward_args(), cuda::kH100));
}

TEST(HopperFlash, NamesOfKernels) {
  AttentionShape shape = half_shape(1, 1, 1, 8, 8, 64, 64);
  EXPECT_STREQ(cuda::hopper::plan_forward(shape, cuda::kH100).kernel_name, "cuda_flash_sm90_bf16");
  shape.dtype = DType::kFloat16;
  EXPECT_STREQ(cuda::hopper::plan_forward(shape, cuda::kH100).kernel_name, "cuda_flash_sm90_f16");
  shape.head_dim = 257;
  EXPECT_THROW(cuda::hopper::plan_forward(shape, cuda::kH100), UnsupportedError);
}

}  // namespace
}  // namespace attnlab::testing
