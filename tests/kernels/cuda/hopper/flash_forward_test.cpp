#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/cuda/hopper/flash.h"
#include "tests/support/attention_tensors.h"
#include "tests/support/device_tensor.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// An H100 with so few multiprocessors that a block computes several tiles.
constexpr cuda::DeviceModel kSmallHopper{90, 3, 227 * 1024, 50 * 1024 * 1024};

struct HopperCase : AttentionTensors {
  using AttentionTensors::AttentionTensors;

  void run(const cuda::DeviceModel& device = kSmallHopper) {
    poison_outputs();
    const DeviceTensor device_q(q), device_k(k), device_v(v), device_out(out), device_lse(lse);
    const DeviceArray<std::int64_t> lengths(seqlens);
    AttentionArgs args = forward_args();
    args.q = device_q.view();
    args.k = device_k.view();
    args.v = device_v.view();
    args.out = device_out.view();
    args.lse = device_lse.view();
    args.mask.seqlens_k = lengths.data();
    ASSERT_TRUE(cuda::hopper::supports_forward(args, device));
    const KernelPlan plan = cuda::hopper::plan_forward(shape, device);
    EXPECT_EQ(plan.workspace_bytes, 0);
    cuda::hopper::run_forward(args, plan, {}, device, nullptr);
    device_out.download(out);
    device_lse.download(lse);
  }

  void expect(const cuda::DeviceModel& device = kSmallHopper) {
    run(device);
    compare_forward();
  }
};

AttentionShape half_shape(std::int64_t batch, std::int64_t heads, std::int64_t kv_heads,
                          std::int64_t seqlen_q, std::int64_t seqlen_k, std::int64_t head_dim,
                          std::int64_t head_dim_v, DType dtype = DType::kBFloat16) {
  return make_shape(batch, heads, kv_heads, seqlen_q, seqlen_k, head_dim, head_dim_v, dtype);
}

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

TEST(HopperFlash, SchedulesOfThreadsAndCopies) {
  for (const MaskOptions& mask : {MaskOptions{}, MaskOptions{true}, MaskOptions{false, 100, 20}}) {
    run_kernels_everywhere(
        [&] { HopperCase(half_shape(1, 2, 1, 140, 330, 128, 128), mask).expect(); });
    run_kernels_everywhere(
        [&] { HopperCase(half_shape(1, 1, 1, 200, 200, 64, 64), mask).expect(); });
    run_kernels_everywhere(
        [&] { HopperCase(half_shape(1, 1, 1, 70, 150, 256, 256), mask).expect(); });
  }
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

TEST(HopperFlash, RandomSchedules) {
  for (unsigned seed = 10; seed < 16; ++seed) {
    hostexec::set_schedule({hostexec::Order::kRandom, hostexec::Completion::kRandom, seed});
    HopperCase(half_shape(1, 2, 1, 200, 300, 64, 64), {true}).expect();
    HopperCase(half_shape(1, 3, 1, 130, 300, 128, 64), {false, 150, -1}).expect();
  }
  hostexec::set_schedule({});
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

/// Results are those of the same problem with `value` replaced by 0 in what nobody may see.
void expect_hidden(const MaskOptions& mask, std::int64_t row, double value) {
  HopperCase clean(half_shape(1, 1, 1, 150, 280, 64, 64), mask);
  HopperCase dirty(clean.shape, mask);
  for (HopperCase* c : {&clean, &dirty}) {
    const double x = c == &clean ? 0.0 : value;
    c->k.fill_row(row, x);
    c->v.fill_row(row, x);
    c->run();
  }
  for (std::int64_t q = 0; q < 150; ++q) {
    const bool sees = reference_visible(clean.shape, mask, 0, q, row);
    for (std::int64_t i = 0; i < 64; ++i) {
      const double out = dirty.out.get(0, 0, q, i);
      if (sees) {
        ASSERT_FALSE(std::isfinite(out)) << "query " << q << " sees row " << row;
      } else {
        ASSERT_EQ(out, clean.out.get(0, 0, q, i)) << "query " << q << " does not see row " << row;
      }
    }
  }
}

TEST(HopperFlash, HiddenNanAndInfinityStayHidden) {
  for (const std::int64_t row : {0, 127, 140, 200, 279}) {
    expect_hidden({true}, row, kNan);
    expect_hidden({false, 20, 10}, row, kInfinity);
  }
  HopperCase c(half_shape(2, 1, 1, 70, 200, 64, 64), {});
  c.use_seqlens({150, 10});
  c.k.fill_row(160, kNan);
  c.v.fill_row(160, kNan);
  c.v.fill_row(199, -kInfinity);
  c.run();
  for (const double x : c.out.values()) EXPECT_TRUE(std::isfinite(x));
}

TEST(HopperFlash, VisibleValuesStayWhatTheyAre) {
  // One column of one value, in a partial block of the diagonal: keys are finite.
  for (const double value : {kNan, kInfinity, -kInfinity}) {
    HopperCase c(half_shape(1, 1, 1, 140, 140, 64, 64), {true});
    HopperCase clean(c.shape, c.mask);
    c.v.set(0, 0, 100, 37, value);
    c.run();
    clean.run();
    for (std::int64_t q = 0; q < 140; ++q) {
      for (std::int64_t i = 0; i < 64; ++i) {
        const double out = c.out.get(0, 0, q, i);
        if (i != 37 || q < 100) {
          ASSERT_EQ(out, clean.out.get(0, 0, q, i)) << q << ", " << i;
        } else if (std::isnan(value)) {
          ASSERT_TRUE(std::isnan(out)) << q;
        } else {
          ASSERT_EQ(out, value) << q;
        }
      }
    }
  }
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
