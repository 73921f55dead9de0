// Accesses that nothing orders are found, whatever values they happened to see; ordered ones are
// not reported.
#include "hostexec/test_support.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {
namespace {

using hostexec::always_faults_with;
using hostexec::fault_of;
using testing::DeviceBuffer;
using testing::run_kernels_everywhere;

int* ints(const DeviceBuffer& buffer) { return reinterpret_cast<int*>(buffer.data()); }

int* shared_ints() { return reinterpret_cast<int*>(shared_memory()); }

/// Passes `rounds` tiles through one buffer; `before` and `after` order the writes of a tile
/// against the reads of the last and of this one.
__global__ void pass_tiles(int* out, int rounds, bool before, bool after) {
  for (int round = 0; round < rounds; ++round) {
    if (before) sync_threads();
    shared_ints()[thread_idx()] = round;
    if (after) sync_threads();
    out[thread_idx()] = shared_ints()[(thread_idx() + 32) % block_dim()];
  }
}

TEST(Race, TilesWithBothBarriersAreClean) {
  DeviceBuffer out(64 * 4);
  run_kernels_everywhere([&] { launch({{1}, 64, 256}, pass_tiles, ints(out), 3, true, true); });
}

TEST(Race, ReadAfterWriteIsFound) {
  DeviceBuffer out(64 * 4);
  EXPECT_TRUE(always_faults_with(
      [&] {
        launch({{1}, 64, 256}, pass_tiles, ints(out), 1, true, false);
      },
      {"race: ", "shared memory byte", "race_test.cpp:"}));
}

TEST(Race, WriteAfterReadIsFound) {
  DeviceBuffer out(64 * 4);
  EXPECT_TRUE(always_faults_with(
      [&] {
        launch({{1}, 64, 256}, pass_tiles, ints(out), 2, false, true);
      },
      {"race: ", "shared memory byte", "race_test.cpp:"}));
}

TEST(Race, ReportNamesBothSides) {
  const auto kernel = +[] {
    if (thread_idx() == 3) shared_ints()[1] = 0;
    if (thread_idx() == 40) shared_ints()[1] = 0;
  };
  EXPECT_TRUE(hostexec::faults_with(
      [&] {
        launch({{1}, 64, 8}, kernel);
      },
      {"thread 40 (warp 1, lane 8) writes shared memory byte 4 at race_test.cpp:",
       "the write by thread 3 (warp 0, lane 3) at race_test.cpp:"}));
}

/// Several readers, more than a cell lists in itself, and one writer that only some are ordered
/// with.
__global__ void read_then_write(int* out, int readers, bool ordered) {
  if (thread_idx() == 0) shared_ints()[0] = 7;
  sync_threads();
  if (thread_idx() < readers) out[thread_idx()] = shared_ints()[0];
  if (ordered) sync_threads();
  if (thread_idx() == 95) shared_ints()[0] = 8;
}

TEST(Race, ManyReadersBeforeAWriter) {
  DeviceBuffer out(96 * 4);
  for (const int readers : {1, 2, 4, 5, 33, 95}) {
    EXPECT_EQ(fault_of([&] {
                launch({{1}, 96, 4}, read_then_write, ints(out), readers, true);
              }),
              "");
    EXPECT_TRUE(always_faults_with(
        [&] {
          launch({{1}, 96, 4}, read_then_write, ints(out), readers, false);
        },
        {"race: "}));
  }
}

TEST(Race, ShufflesDoNotOrderMemoryButSyncWarpDoes) {
  const auto kernel = +[](int* out, bool order) {
    shared_ints()[thread_idx()] = thread_idx();
    if (order) sync_warp();
    const int lane = shuffle_xor(thread_idx(), 1);
    out[thread_idx()] = shared_ints()[lane];
  };
  DeviceBuffer out(32 * 4);
  EXPECT_EQ(fault_of([&] { launch({{1}, 32, 128}, kernel, ints(out), true); }), "");
  EXPECT_TRUE(always_faults_with(
      [&] {
        launch({{1}, 32, 128}, kernel, ints(out), false);
      },
      {"race: "}));
}

TEST(Race, SyncWarpDoesNotOrderOtherWarps) {
  const auto kernel = +[](int* out) {
    shared_ints()[thread_idx()] = thread_idx();
    sync_warp();
    out[thread_idx()] = shared_ints()[thread_idx() ^ 32];
  };
  DeviceBuffer out(64 * 4);
  EXPECT_TRUE(always_faults_with([&] { launch({{1}, 64, 256}, kernel, ints(out)); }, {"race: "}));
}

TEST(Race, NamedBarriersOrderOnlyTheirThreads) {
  const auto kernel = +[](int* out) {
    if (warp_idx() == 2) {
      out[thread_idx()] = shared_ints()[lane_idx()];
    } else {
      if (warp_idx() == 0) shared_ints()[lane_idx()] = 1;
      named_barrier_sync(1, 64);
      out[thread_idx()] = shared_ints()[lane_idx()];
    }
  };
  DeviceBuffer out(96 * 4);
  EXPECT_TRUE(always_faults_with(
      [&] {
        launch({{1}, 96, 128}, kernel, ints(out));
      },
      {"race: ", "warp 2"}));
  EXPECT_EQ(fault_of([&] { launch({{1}, 64, 128}, kernel, ints(out)); }), "");
}

TEST(Race, WhoOnlyArrivesIsNotOrderedAfterOthers) {
  const auto kernel = +[](int* out) {
    if (warp_idx() == 0) {
      named_barrier_arrive(1, 64);
      out[lane_idx()] = shared_ints()[lane_idx()];
    } else {
      shared_ints()[lane_idx()] = 1;
      named_barrier_sync(1, 64);
    }
  };
  DeviceBuffer out(32 * 4);
  EXPECT_TRUE(always_faults_with([&] { launch({{1}, 64, 128}, kernel, ints(out)); }, {"race: "}));
}

TEST(Race, NeighbouringHalfWordsAreDifferentPlaces) {
  const auto kernel = +[](std::uint16_t* out) {
    auto* const halves = reinterpret_cast<std::uint16_t*>(shared_memory());
    halves[thread_idx()] = static_cast<std::uint16_t>(thread_idx());
    out[thread_idx()] = halves[thread_idx()];
  };
  DeviceBuffer out(64 * 2);
  run_kernels_everywhere([&] {
    launch({{1}, 64, 128}, kernel, reinterpret_cast<std::uint16_t*>(out.data()));
  });
}

TEST(Race, WideAccessesTouchAllTheirBytes) {
  const auto kernel = +[](std::int64_t* out) {
    if (thread_idx() == 0) *out = *reinterpret_cast<std::int64_t*>(shared_memory());
    if (thread_idx() == 32) shared_ints()[1] = 0;
  };
  DeviceBuffer out(8);
  EXPECT_TRUE(always_faults_with(
      [&] {
        launch({{1}, 64, 8}, kernel, reinterpret_cast<std::int64_t*>(out.data()));
      },
      {"race: "}));
}

TEST(Race, GlobalMemoryOfABlock) {
  const auto kernel = +[](int* data, bool order) {
    data[thread_idx()] = 1;
    if (order) sync_threads();
    data[thread_idx() + 64] = data[thread_idx() ^ 32];
  };
  DeviceBuffer data(128 * 4);
  EXPECT_EQ(fault_of([&] { launch({{1}, 64}, kernel, ints(data), true); }), "");
  EXPECT_TRUE(always_faults_with(
      [&] {
        launch({{1}, 64}, kernel, ints(data), false);
      },
      {"race: ", "of a buffer of 512"}));
}

__global__ void blocks_touch(int* data, int reader, int writer) {
  if (thread_idx() != 0) return;
  if (block_idx_x() == reader) data[1] = data[0];
  if (block_idx_x() == writer) data[0] = 1;
}

TEST(Race, BlocksAreNeverOrdered) {
  DeviceBuffer data(8);
  for (const auto& [reader, writer] : std::vector<std::pair<int, int>>{{0, 2}, {2, 0}}) {
    EXPECT_TRUE(always_faults_with(
        [&] {
          launch({{3}, 32}, blocks_touch, ints(data), reader, writer);
        },
        {"race: ", "another block"}));
  }
  EXPECT_EQ(fault_of([&] { launch({{3}, 32}, blocks_touch, ints(data), 1, 1); }), "");
}

TEST(Race, LaunchesAreOrdered) {
  DeviceBuffer data(8);
  EXPECT_EQ(fault_of([&] {
              launch({{3}, 32}, blocks_touch, ints(data), -1, 2);
              launch({{3}, 32}, blocks_touch, ints(data), 0, -1);
            }),
            "");
}

TEST(Race, ManyBlocksMayReadTheSame) {
  const auto kernel = +[](const int* in, int* out) { out[block_idx_x()] = 0 * in[0]; };
  const auto one_lane = +[](const int* in, int* out) {
    if (thread_idx() == 0) out[block_idx_x()] = in[0];
  };
  DeviceBuffer in(4);
  DeviceBuffer out(5 * 4);
  EXPECT_EQ(fault_of([&] { launch({{5}, 32}, one_lane, ints(in), ints(out)); }), "");
  EXPECT_TRUE(always_faults_with(
      [&] {
        launch({{5}, 32}, kernel, ints(in), ints(out));
      },
      {"race: ", "writes"}));
}

}  // namespace
}  // namespace attnlab::cuda
