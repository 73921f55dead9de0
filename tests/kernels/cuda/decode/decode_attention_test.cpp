#include "kernels/cuda/decode/decode_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "kernels/cuda/decode/decode_plan.h"
#include "tests/kernels/cuda/device_case.h"

namespace attnlab::testing {
namespace {

const MaskOptions kCausal{.causal = true};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Outputs and workspace are poisoned first.
void run(DeviceCase& c) {
  c.poison_outputs();
  const DeviceCopies device(c, c.offset);
  const KernelPlan plan = cuda::plan_decode_attention(c.shape, device_model());
  const DeviceBuffer workspace(plan.workspace_bytes);
  cuda::decode_attention(device.forward_args(c), plan, workspace.span(), device_model(), nullptr);
  device.out.download(c.out);
  device.lse.download(c.lse);
}

void expect_formula(DeviceCase& c) {
  run(c);
  c.compare_forward();
}

TEST(CudaDecode, HandComputed) {
  // Scores 0 and ln 3 for the last query, only the first key for the one before.
  DeviceCase c(make_shape(1, 1, 1, 2, 2, 1, 2), kCausal);
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

TEST(CudaDecode, EverySchedule) {
  run_kernels_everywhere([] {
    for (const DType dtype : kDTypes) {
      DeviceCase c(make_shape(1, 6, 2, 2, 700, 24, 40, dtype), kCausal);
      expect_formula(c);
    }
  });
}

TEST(CudaDecode, GroupsTimesQueries) {
  // Rows of a group: every number of rows per block, filled up or not, and several blocks.
  for (const std::int64_t group : {1, 2, 3, 8}) {
    for (const std::int64_t queries : {1, 2, 7, 16}) {
      for (const DType dtype : {DType::kFloat64, DType::kBFloat16}) {
        DeviceCase c(make_shape(1, 2 * group, 2, queries, 133, 24, 20, dtype), kCausal);
        expect_formula(c);
      }
    }
  }
}

TEST(CudaDecode, TileAndSplitBoundaries) {
  for (const std::int64_t length :
       {1, 2, 15, 31, 32, 33, 127, 128, 129, 255, 256, 257, 513, 1540}) {
    for (const std::int64_t queries : {1, 4}) {
      DeviceCase c(make_shape(1, 3, 1, queries, length, 16, 16), kCausal);
      expect_formula(c);
    }
  }
}

TEST(CudaDecode, ManyHeadsTakeLongerSplits) {
  const AttentionShape shape = make_shape(1, 256, 256, 1, 1000, 2, 2);
  EXPECT_EQ(cuda::make_decode_plan(shape).num_splits, 1);
  DeviceCase c(shape, kCausal);
  expect_formula(c);
}

TEST(CudaDecode, HeadDims) {
  for (const DType dtype : kDTypes) {
    for (const auto& [d, dv] : std::vector<std::pair<int, int>>{
             {1, 1}, {3, 17}, {16, 64}, {40, 59}, {64, 48}, {111, 128}, {128, 112}, {256, 255}}) {
      DeviceCase c(make_shape(1, 4, 1, 2, 70, d, dv, dtype), kCausal);
      expect_formula(c);
    }
  }
}

TEST(CudaDecode, LayoutsAndAlignment) {
  for (const DType dtype : kDTypes) {
    for (const Layout layout : {Layout::kHeadsFirst, Layout::kSeqlenFirst}) {
      for (const std::int64_t offset : {0, 1}) {
        DeviceCase c(make_shape(2, 6, 2, 3, 300, 24, 40, dtype), kCausal, layout);
        c.offset = offset;
        expect_formula(c);
      }
    }
  }
}

TEST(CudaDecode, LengthsOfBatchItems) {
  // Empty, shorter than the queries, ending in every part of a split, ending with it.
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const std::int64_t queries : {1, 3, 16}) {
      DeviceCase c(make_shape(9, 4, 2, queries, 600, 16, 8, dtype), kCausal);
      c.use_seqlens({0, 1, 2, 15, 256, 257, 271, 512, 600});
      expect_formula(c);
      for (std::int64_t head = 0; head < 4; ++head) {
        EXPECT_EQ(c.out.get(0, head, 0, 0), 0.0);
        EXPECT_EQ(c.lse.get(0, head, 0, 0), -kInfinity);
      }
    }
  }
}

TEST(CudaDecode, EmptyCacheAndEmptyBatch) {
  for (const AttentionShape& shape :
       {make_shape(1, 4, 2, 1, 0, 16, 8), make_shape(0, 4, 2, 1, 9, 16, 8)}) {
    DeviceCase c(shape, kCausal);
    expect_formula(c);
  }
}

TEST(CudaDecode, BadTokensBeyondTheLengthAreNeverRead) {
  for (const DType dtype : kDTypes) {
    DeviceCase clean(make_shape(2, 4, 2, 3, 300, 24, 24, dtype), kCausal);
    DeviceCase dirty(clean.shape, kCausal);
    for (DeviceCase* c : {&clean, &dirty}) c->use_seqlens({70, 265});
    dirty.k.for_each([&](auto b, auto h, auto s, auto x) {
      if (s < dirty.seqlens[static_cast<std::size_t>(b)]) return;
      dirty.k.set(b, h, s, x, std::nan(""));
      dirty.v.set(b, h, s, x, kInfinity);
    });
    run(clean);
    run(dirty);
    EXPECT_EQ(clean.out.values(), dirty.out.values());
    EXPECT_EQ(clean.lse.values(), dirty.lse.values());
  }
}

TEST(CudaDecode, BadKeysAndValuesReachOnlyQueriesThatSeeThem) {
  constexpr std::int64_t kQueries = 6, kLength = 260;
  for (const double bad : {std::nan(""), kInfinity}) {
    for (const std::int64_t token : {kLength - 1, kLength - 3, kLength - kQueries}) {
      DeviceCase clean(make_shape(1, 3, 1, kQueries, kLength, 8, 8), kCausal);
      DeviceCase dirty(clean.shape, kCausal);
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

TEST(CudaDecode, ScoresOfMinusInfinityAreAnEmptyRow) {
  DeviceCase c(make_shape(1, 2, 1, 1, 300, 4, 4), kCausal);
  for (std::int64_t x = 0; x < 4; ++x) c.q.set(0, 1, 0, x, 3e38);
  c.k.for_each([&](auto b, auto h, auto s, auto x) { c.k.set(b, h, s, x, -1e30); });
  c.score.scale = 1.0;
  run(c);
  EXPECT_EQ(c.lse.get(0, 1, 0, 0), -kInfinity);
  EXPECT_EQ(c.out.get(0, 1, 0, 0), 0.0);
}

TEST(CudaDecode, SameBitsForABatchSlice) {
  for (const DType dtype : kDTypes) {
    const AttentionShape shape = make_shape(3, 4, 2, 2, 600, 24, 16, dtype);
    DeviceCase all(shape, kCausal);
    run(all);
    AttentionShape slice = shape;
    slice.batch = 1;
    for (std::int64_t b = 0; b < 3; ++b) {
      DeviceCase one(slice, kCausal);
      const auto copy = [&](HostTensor& to, const HostTensor& from) {
        to.for_each(
            [&](auto i, auto h, auto s, auto c) { to.set(i, h, s, c, from.get(b, h, s, c)); });
      };
      copy(one.q, all.q);
      copy(one.k, all.k);
      copy(one.v, all.v);
      run(one);
      one.out.for_each([&](auto i, auto h, auto s, auto c) {
        ASSERT_EQ(one.out.get(i, h, s, c), all.out.get(b, h, s, c));
      });
    }
  }
}

TEST(CudaDecode, PlansDependOnTheCacheAndTheHeadsOnly) {
  AttentionShape shape = make_shape(1, 32, 8, 1, 65536, 128, 128, DType::kBFloat16);
  const cuda::DecodePlan plan = cuda::make_decode_plan(shape);
  EXPECT_EQ(plan.num_splits * shape.kv_heads, 256);
  const KernelPlan one = cuda::plan_decode_attention(shape, device_model());
  EXPECT_STREQ(one.kernel_name, "cuda_decode_bf16");
  const std::int64_t cache_bytes = 2 * shape.kv_heads * shape.seqlen_k * shape.head_dim * 2;
  EXPECT_LT(one.workspace_bytes, cache_bytes / 200);
  shape.batch = 7;
  EXPECT_EQ(cuda::make_decode_plan(shape).num_splits, plan.num_splits);
  EXPECT_EQ(cuda::plan_decode_attention(shape, device_model()).workspace_bytes,
            7 * one.workspace_bytes);
}

TEST(CudaDecode, SharedMemoryFitsEveryShape) {
  for (const DType dtype : kDTypes) {
    for (const std::int64_t d : {1, 64, 128, 255, 256}) {
      for (const std::int64_t rows : {1, 4, 16}) {
        const cuda::DecodePlan plan =
            cuda::make_decode_plan(make_shape(1, rows, 1, 1, 4096, d, d, dtype));
        EXPECT_LE(plan.shared_bytes, device_model().shared_bytes_per_block);
        EXPECT_GE(plan.warps, 1);
        // Devices of compute capability 8.6 and 8.9 have 99 KiB.
        if (dtype != DType::kFloat64 || d <= 128) {
          EXPECT_LE(plan.shared_bytes, 75 * 1024);
        }
      }
    }
  }
}

TEST(CudaDecode, RefusesWhatItCannotDo) {
  const cuda::DeviceModel& device = device_model();
  for (const AttentionShape& shape :
       {make_shape(1, 1, 1, 1, 1, 257, 8), make_shape(1, 1, 1, 17, 20, 8, 8),
        make_shape(1, 3, 2, 1, 1, 8, 8), make_shape(1, 1, 1, 1, 1, 8, 0)}) {
    EXPECT_THROW(cuda::plan_decode_attention(shape, device), UnsupportedError);
  }
  cuda::DeviceModel small_device = device;
  small_device.shared_bytes_per_block = 99 * 1024;
  EXPECT_THROW(cuda::plan_decode_attention(make_shape(1, 1, 1, 1, 9, 256, 256, DType::kFloat64),
                                           small_device),
               UnsupportedError);
  DeviceCase c(make_shape(1, 1, 1, 2, 9, 8, 8), kCausal);
  const DeviceCopies copies(c, 0);
  AttentionArgs args = copies.forward_args(c);
  const KernelPlan plan = cuda::plan_decode_attention(c.shape, device);
  const DeviceBuffer workspace(plan.workspace_bytes);
  const DeviceBuffer small(plan.workspace_bytes / 2);
  EXPECT_THROW(cuda::decode_attention(args, plan, small.span(), device, nullptr), Error);
  args.score.softcap = 1.0;
  EXPECT_THROW(cuda::decode_attention(args, plan, workspace.span(), device, nullptr),
               UnsupportedError);
  args.score.softcap = 0.0;
  args.mask.causal = false;
  EXPECT_THROW(cuda::decode_attention(args, plan, workspace.span(), device, nullptr),
               UnsupportedError);
}

}  // namespace
}  // namespace attnlab::testing
