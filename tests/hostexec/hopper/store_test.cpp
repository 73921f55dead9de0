// Tiles that threads write and the copy engine stores.
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
  kNoCommit,
  kNoWait,
  kOverwritesTile,
  kMisaligned,
  kForeignMap,
};

constexpr int kRows = 64;
constexpr int kTileBytes = kRows * 128;

// Row r, column c of the tile: 100 r + c. Twice, so that the tile's memory is used again.
__global__ void store_tile(const __grid_constant__ TensorMap map, int first_row, Mistake mistake) {
  std::byte* const tile = shared_memory();
  for (int round = 0; round < 2; ++round) {
    for (int i = thread_idx(); i < kRows * 64; i += block_dim()) {
      const int offset = 2 * i ^ (2 * i >> 3 & 0x70);
      *reinterpret_cast<std::uint16_t*>(tile + offset) =
          static_cast<std::uint16_t>(1000 * round + 100 * (i / 64) + i % 64);
    }
    if (mistake != Mistake::kNoProxyFence) fence_proxy_async();
    if (mistake != Mistake::kNoBarrier) sync_threads();
    if (thread_idx() == 0) {
      TensorMap other{};
      tma_store_4d(mistake == Mistake::kForeignMap ? &other : &map,
                   tile + (mistake == Mistake::kMisaligned ? 128 : 0), 0, first_row, 0, 0);
      if (mistake != Mistake::kNoCommit) tma_store_commit();
      if (mistake != Mistake::kOverwritesTile && mistake != Mistake::kNoWait) {
        tma_store_wait_read<0>();
      }
    }
    if (mistake == Mistake::kNoWait) return;
    sync_threads();
  }
}

class StoreTest : public testing::Test {
 protected:
  static constexpr int kTensorRows = 80;

  std::string run(const hostexec::Schedule& schedule, Mistake mistake, int first_row = 0) {
    const TensorMap map = encode_tensor_map(
        out.data(), DType::kBFloat16, {64, kTensorRows - 8, 1, 1},
        {0, 128, 128 * kTensorRows, 128 * kTensorRows}, {64, kRows, 1, 1}, Swizzle::k128);
    return hostexec::fault_of(schedule, [&] {
      launch({.grid = {}, .threads = 64, .shared_bytes = kTileBytes + 1024}, store_tile, map,
             first_row, mistake);
    });
  }
  void expect_found(Mistake mistake, const std::string& text) {
    for (const hostexec::Schedule& schedule : hostexec::all_schedules()) {
      const std::string fault = run(schedule, mistake);
      EXPECT_NE(fault.find(text), std::string::npos)
          << "expected: " << text << "; found: " << fault;
    }
  }

  hostexec::Buffers<std::uint16_t> out{std::vector<std::uint16_t>(kTensorRows * 64)};
};

TEST_F(StoreTest, WritesWhatIsInsideTheTensor) {
  for (const hostexec::Schedule& schedule : hostexec::all_schedules()) {
    std::fill_n(out.data(), kTensorRows * 64, std::uint16_t{7});
    ASSERT_EQ(run(schedule, Mistake::kNone, 32), "");
    for (int i = 0; i < kTensorRows * 64; ++i) {
      const int row = i / 64;
      const bool written = row >= 32 && row < kTensorRows - 8;
      ASSERT_EQ(out.data()[i], written ? 1000 + 100 * (row - 32) + i % 64 : 7) << i;
    }
  }
}

TEST_F(StoreTest, WritesNeedAFenceOfTheAsyncProxy) {
  expect_found(Mistake::kNoProxyFence, "fence_proxy_async is missing");
}
TEST_F(StoreTest, WritesOfOtherThreadsNeedABarrier) { expect_found(Mistake::kNoBarrier, "race"); }
TEST_F(StoreTest, StoresMustBeCommitted) { expect_found(Mistake::kNoCommit, "not"); }
TEST_F(StoreTest, BlocksWaitUntilTheirMemoryHasBeenRead) {
  expect_found(Mistake::kNoWait, "a block ends before its shared memory has been read");
}
TEST_F(StoreTest, TilesMayNotBeOverwrittenBeforeTheyHaveBeenRead) {
  expect_found(Mistake::kOverwritesTile, "race");
}
TEST_F(StoreTest, SwizzledTilesBeginWithAPattern) {
  expect_found(Mistake::kMisaligned,
               "a tile at offset 128 of shared memory; it must be a multiple");
}
TEST_F(StoreTest, MapsMustBeEncoded) { expect_found(Mistake::kForeignMap, "encode_tensor_map"); }

}  // namespace
}  // namespace attnlab::cuda
