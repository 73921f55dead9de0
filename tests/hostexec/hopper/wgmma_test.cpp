// Products of a warpgroup from operands that threads laid out in shared memory, panel by panel, in
// every form that descriptors can name.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hostexec/hopper/test_support.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {
namespace {

enum class Mistake {
  kNone,
  kNoProxyFence,
  kNoBarrier,
  kWritesFragment,
  kReadsEarly,
  kOverwritesOperand,
  kDescriptorsDiffer,
  kStartsInPattern,
  kOperandOutside,
};

constexpr int kDepth = 64;

// `width` bytes of every row side by side, 8 rows a pattern; 16: no swizzle, blocks of 8x8.
struct Layout {
  int width;

  // Element (row, k) of a matrix that is contiguous along k, in panels of width / 2 columns.
  __device__ int k_major(int rows, int row, int k) const {
    if (width == 16) return (row / 8 * (kDepth / 8) + k / 8) * 128 + row % 8 * 16 + k % 8 * 2;
    return panel(k, rows, row);
  }
  // The same of one that is contiguous along its other dimension, in panels of it.
  __device__ int transposed(int columns, int column, int k) const {
    if (width == 16)
      return (k / 8 * (columns / 8) + column / 8) * 128 + k % 8 * 16 + column % 8 * 2;
    return panel(column, kDepth, k);
  }
  __device__ int panel(int inner, int outer_size, int outer) const {
    const int offset = inner % (width / 2) * 2 + outer * width;
    const int chunk_mask = width / 16 - 1;
    const int chunk = offset / 16 % 8 ^ (offset / 128 & chunk_mask);
    return inner / (width / 2) * outer_size * width + offset / 128 * 128 + chunk * 16 + offset % 16;
  }
};

struct Parameters {
  const std::uint16_t* a;  // [64, 64]
  const std::uint16_t* b;  // [columns, 64]
  float* out;              // [64, columns]
  Layout layout;
  Mistake mistake;
};

__device__ Swizzle swizzle_of(int width) {
  return width == 16   ? Swizzle::kNone
         : width == 32 ? Swizzle::k32
         : width == 64 ? Swizzle::k64
                       : Swizzle::k128;
}

__device__ std::uint64_t k_major_step(const std::byte* matrix, const Layout& layout, int rows,
                                      int step) {
  if (layout.width == 16) {
    return shared_descriptor(matrix + 256 * step, 128, kDepth / 8 * 128, Swizzle::kNone);
  }
  const int panels = step * 32 / layout.width;
  const int start = panels * rows * layout.width + step * 32 % layout.width;
  return shared_descriptor(matrix + start, 0, 8 * layout.width, swizzle_of(layout.width));
}

__device__ std::uint64_t transposed_step(const std::byte* matrix, const Layout& layout, int columns,
                                         int step) {
  if (layout.width == 16) {
    const int per_k_block = columns / 8 * 128;
    return shared_descriptor(matrix + 2 * step * per_k_block, per_k_block, 128, Swizzle::kNone);
  }
  return shared_descriptor(matrix + 16 * step * layout.width, kDepth * layout.width,
                           8 * layout.width, swizzle_of(layout.width));
}

template <int N, bool kTransposed, bool kFromRegisters>
__global__ void multiply(Parameters p) {
  std::byte* const a = shared_memory();
  std::byte* const b = a + 64 * kDepth * 2;
  for (int i = thread_idx(); i < 64 * kDepth; i += block_dim()) {
    *reinterpret_cast<std::uint16_t*>(a + p.layout.k_major(64, i / kDepth, i % kDepth)) = p.a[i];
  }
  for (int i = thread_idx(); i < N * kDepth; i += block_dim()) {
    const int column = i / kDepth;
    const int k = i % kDepth;
    const int offset =
        kTransposed ? p.layout.transposed(N, column, k) : p.layout.k_major(N, column, k);
    *reinterpret_cast<std::uint16_t*>(b + offset) = p.b[i];
  }
  if (p.mistake != Mistake::kNoProxyFence) fence_proxy_async();
  if (p.mistake != Mistake::kNoBarrier) sync_threads();

  float d[N / 2];
  std::uint32_t fragments[kDepth / 16][4];
  const int row = warp_idx() * 16 + lane_idx() / 4;
  for (int step = 0; step < kDepth / 16; ++step) {
    for (int r = 0; r < 4; ++r) {
      const int at = (row + r % 2 * 8) * kDepth + step * 16 + r / 2 * 8 + lane_idx() % 4 * 2;
      fragments[step][r] = p.a[at] | static_cast<std::uint32_t>(p.a[at + 1]) << 16;
    }
  }
  wgmma_fence();
  for (int step = 0; step < kDepth / 16; ++step) {
    std::uint64_t b_step =
        kTransposed ? transposed_step(b, p.layout, N, step) : k_major_step(b, p.layout, N, step);
    if (p.mistake == Mistake::kDescriptorsDiffer && warp_idx() == 2) b_step += 2;
    if (p.mistake == Mistake::kStartsInPattern) b_step += 128 / 16;
    if (p.mistake == Mistake::kOperandOutside) b_step += std::uint64_t{1} << 44;
    if constexpr (kFromRegisters) {
      wgmma_m64k16<bfloat16, N, kTransposed>(d, fragments[step], b_step, step > 0);
    } else {
      wgmma_m64k16<bfloat16, N, kTransposed>(d, k_major_step(a, p.layout, 64, step), b_step,
                                             step > 0);
    }
  }
  wgmma_commit();
  if (p.mistake == Mistake::kWritesFragment) fragments[2][1] ^= 0x40u;
  if (p.mistake == Mistake::kOverwritesOperand && thread_idx() == 0) b[0] = std::byte{0};
  float early = 0.0f;
  if (p.mistake == Mistake::kReadsEarly) early = d[0];
  wgmma_wait<0>();
  keep_accumulators(d);
  if (p.mistake == Mistake::kReadsEarly) d[0] = early;
  for (int i = 0; i < N / 2; ++i) {
    const int column = i / 4 * 8 + lane_idx() % 4 * 2 + i % 2;
    p.out[(row + i / 2 % 2 * 8) * N + column] = d[i];
  }
}

constexpr int kWidths[] = {16, 32, 64, 128};

template <int N, bool kTransposed, bool kFromRegisters>
class Product {
 public:
  Product() : a(values_a), b(values_b), out(std::vector<float>(64 * N)) {}

  std::string run(const hostexec::Schedule& schedule, int width, Mistake mistake) {
    return hostexec::fault_of(schedule, [&] {
      launch({.grid = {}, .threads = 128, .shared_bytes = (64 + N) * kDepth * 2},
             multiply<N, kTransposed, kFromRegisters>,
             Parameters{a.data(), b.data(), out.data(), {width}, mistake});
    });
  }

  int num_wrong() const {
    int wrong = 0;
    for (std::size_t i = 0; i < 64 * N; ++i) {
      float expected = 0.0f;
      for (std::size_t k = 0; k < kDepth; ++k) {
        expected += hostexec::value_of(values_a[i / N * kDepth + k]) *
                    hostexec::value_of(values_b[i % N * kDepth + k]);
      }
      if (!(out.data()[i] == expected)) ++wrong;
    }
    return wrong;
  }

  std::vector<std::uint16_t> values_a = hostexec::random_integers(64 * kDepth, 3);
  std::vector<std::uint16_t> values_b = hostexec::random_integers(N * kDepth, 4);
  hostexec::Buffers<std::uint16_t> a;
  hostexec::Buffers<std::uint16_t> b;
  hostexec::Buffers<float> out;
};

template <int N, bool kTransposed, bool kFromRegisters>
void expect_exact() {
  Product<N, kTransposed, kFromRegisters> product;
  for (const int width : kWidths) {
    for (const hostexec::Schedule& schedule : hostexec::all_schedules()) {
      ASSERT_EQ(product.run(schedule, width, Mistake::kNone), "") << width;
      ASSERT_EQ(product.num_wrong(), 0) << width;
    }
  }
}

TEST(WgmmaTest, KMajorOperands) { expect_exact<64, false, false>(); }
TEST(WgmmaTest, TransposedB) { expect_exact<64, true, false>(); }
TEST(WgmmaTest, FragmentsOfA) { expect_exact<64, false, true>(); }
TEST(WgmmaTest, FragmentsTimesTransposedBOfSeveralPanels) { expect_exact<128, true, true>(); }

void expect_found(Mistake mistake, const std::string& text) {
  Product<64, false, true> product;
  for (const hostexec::Schedule& schedule : hostexec::all_schedules()) {
    const std::string fault = product.run(schedule, 128, mistake);
    EXPECT_NE(fault.find(text), std::string::npos) << "expected: " << text << "; found: " << fault;
  }
}

TEST(WgmmaTest, WritesNeedAFenceOfTheAsyncProxy) {
  expect_found(Mistake::kNoProxyFence, "fence_proxy_async is missing");
}
TEST(WgmmaTest, WritesOfOtherThreadsNeedABarrier) { expect_found(Mistake::kNoBarrier, "race"); }
TEST(WgmmaTest, FragmentsBelongToTheProduct) {
  expect_found(Mistake::kWritesFragment, "the A fragment");
}
TEST(WgmmaTest, OperandsBelongToTheProduct) {
  expect_found(Mistake::kOverwritesOperand, "not ordered with");
}
TEST(WgmmaTest, ThreadsMustAgree) {
  expect_found(Mistake::kDescriptorsDiffer, "different shapes or descriptors");
}
TEST(WgmmaTest, OperandsStartWithAPattern) {
  expect_found(Mistake::kStartsInPattern, "inside a swizzle pattern");
}
TEST(WgmmaTest, OperandsLieInSharedMemory) {
  expect_found(Mistake::kOperandOutside, "is not in the block's");
}

TEST(WgmmaTest, AccumulatorsArePoisonUntilTheWait) {
  Product<64, false, true> product;
  ASSERT_EQ(product.run({}, 128, Mistake::kReadsEarly), "");
  EXPECT_GE(product.num_wrong(), 128);
}

}  // namespace
}  // namespace attnlab::cuda
