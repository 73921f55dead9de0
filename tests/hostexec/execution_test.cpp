// Blocks, threads, barriers and exchanges give what a device would give, in every order.
#include <numeric>

#include "hostexec/test_support.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {
namespace {

using hostexec::download;
using testing::DeviceArray;
using testing::DeviceBuffer;
using testing::run_kernels_everywhere;

__global__ void write_positions(int* out) {
  const int block = (block_idx_z() * grid_dim_y() + block_idx_y()) * grid_dim_x() + block_idx_x();
  out[block * block_dim() + thread_idx()] = block * 1000 + warp_idx() * 100 + lane_idx();
}

TEST(Execution, EveryThreadOfEveryBlockRunsOnce) {
  run_kernels_everywhere([] {
    DeviceBuffer out(2 * 3 * 4 * 64 * 4);
    launch({{2, 3, 4}, 64}, write_positions, reinterpret_cast<int*>(out.data()));
    const std::vector<int> values = download<int>(out);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const int thread = static_cast<int>(i) % 64;
      EXPECT_EQ(values[i], static_cast<int>(i) / 64 * 1000 + thread / 32 * 100 + thread % 32);
    }
  });
}

/// Sum of all elements by a tree in shared memory.
__global__ void sum_in_shared(const int* in, int* out) {
  int* const values = reinterpret_cast<int*>(shared_memory());
  values[thread_idx()] = in[thread_idx()];
  for (int half = block_dim() / 2; half > 0; half /= 2) {
    sync_threads();
    if (thread_idx() < half) values[thread_idx()] += values[thread_idx() + half];
  }
  if (thread_idx() == 0) *out = values[0];
}

TEST(Execution, BarriersOrderSharedMemory) {
  std::vector<int> in(256);
  std::iota(in.begin(), in.end(), 1);
  run_kernels_everywhere([&] {
    const DeviceArray<int> device_in(in);
    DeviceBuffer out(4);
    launch({{1}, 256, 1024}, sum_in_shared, device_in.data(), reinterpret_cast<int*>(out.data()));
    EXPECT_EQ(download<int>(out)[0], 256 * 257 / 2);
  });
}

__global__ void exchange_values(double* out) {
  const double own = lane_idx();
  double* const row = out + thread_idx() * 6;
  row[0] = shuffle_xor(own, 5);
  row[1] = shuffle(own, 31 - lane_idx());
  row[2] = shuffle_up(own, 3);
  row[3] = shuffle_down(own, 3);
  row[4] = ballot(lane_idx() % 3 == 0);
  row[5] = (any_in_warp(lane_idx() == 7) ? 1 : 0) + (all_in_warp(lane_idx() == 7) ? 2 : 0) +
           (all_in_warp(lane_idx() < 32) ? 4 : 0) + (any_in_warp(lane_idx() > 31) ? 8 : 0);
}

TEST(Execution, LanesExchange) {
  run_kernels_everywhere([] {
    DeviceBuffer out(64 * 6 * 8);
    launch({{1}, 64}, exchange_values, reinterpret_cast<double*>(out.data()));
    const std::vector<double> values = download<double>(out);
    for (int i = 0; i < 64; ++i) {
      const int lane = i % 32;
      const double* const row = &values[static_cast<std::size_t>(i) * 6];
      EXPECT_EQ(row[0], lane ^ 5);
      EXPECT_EQ(row[1], 31 - lane);
      EXPECT_EQ(row[2], lane < 3 ? lane : lane - 3);
      EXPECT_EQ(row[3], lane > 28 ? lane : lane + 3);
      EXPECT_EQ(row[4], 0x49249249);
      EXPECT_EQ(row[5], 5);
    }
  });
}

__global__ void vote_in_block(int* out) {
  const int count = sync_threads_count(thread_idx() % 3 == 0);
  const bool none = sync_threads_or(thread_idx() < 0);
  const bool one = sync_threads_or(thread_idx() == 17);
  out[thread_idx()] = count * 4 + (none ? 2 : 0) + (one ? 1 : 0);
}

TEST(Execution, BlocksVote) {
  run_kernels_everywhere([] {
    DeviceBuffer out(96 * 4);
    launch({{1}, 96}, vote_in_block, reinterpret_cast<int*>(out.data()));
    for (const int value : download<int>(out)) EXPECT_EQ(value, 32 * 4 + 1);
  });
}

/// Warp 0 produces, warp 1 consumes, through two barriers.
__global__ void hand_over(int* out, int rounds) {
  int* const slot = reinterpret_cast<int*>(shared_memory());
  for (int round = 0; round < rounds; ++round) {
    if (warp_idx() == 0) {
      if (round > 0) named_barrier_sync(2, 64);
      slot[lane_idx()] = round * 32 + lane_idx();
      named_barrier_arrive(1, 64);
    } else {
      named_barrier_sync(1, 64);
      out[round * 32 + lane_idx()] = slot[31 - lane_idx()];
      if (round + 1 < rounds) named_barrier_arrive(2, 64);
    }
  }
}

TEST(Execution, NamedBarriersHandOver) {
  run_kernels_everywhere([] {
    DeviceBuffer out(5 * 32 * 4);
    launch({{1}, 64, 128}, hand_over, reinterpret_cast<int*>(out.data()), 5);
    const std::vector<int> values = download<int>(out);
    for (int i = 0; i < 160; ++i) {
      EXPECT_EQ(values[static_cast<std::size_t>(i)], i / 32 * 32 + 31 - i % 32);
    }
  });
}

__global__ void count_up(int* counter) { atomic_add(counter, 2); }

TEST(Execution, AtomicsOfAllBlocksAdd) {
  run_kernels_everywhere([] {
    const DeviceArray<int> counter({5});
    launch({{7}, 32}, count_up, counter.data());
    EXPECT_EQ(*counter.data(), 5 + 2 * 7 * 32);
  });
}

TEST(Execution, SharedMemoryIsPoisonedForEveryBlock) {
  const auto kernel = +[](std::uint32_t* out) {
    auto* const shared = reinterpret_cast<std::uint32_t*>(shared_memory());
    out[block_idx_x() * 32 + thread_idx()] = shared[thread_idx()];
    shared[thread_idx()] = 0;
  };
  DeviceBuffer out(3 * 32 * 4);
  launch({{3}, 32, 128}, kernel, reinterpret_cast<std::uint32_t*>(out.data()));
  for (const std::uint32_t value : download<std::uint32_t>(out)) EXPECT_EQ(value, 0xffffffffu);
}

}  // namespace
}  // namespace attnlab::cuda
