// A producer warp that loads tiles and a warpgroup that multiplies them, and every way to get their
// handshake wrong.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "hostexec/hopper/test_support.h"
#include "hostexec/memory.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {
namespace {

enum class Mistake {
  kNone,
  kNoInitFence,
  kNoSyncAfterInit,
  kNoWaitForFull,
  kNoWaitForEmpty,
  kExpectsTooFew,
  kExpectsTooMany,
  kWrongParity,
  kOneWarpWaits,
  kWaitsElsewhere,
  kNoArrival,
  kReleasesBeforeWait,
  kNoWgmmaFence,
  kNoCommit,
  kNoWgmmaWait,
  kWritesAccumulators,
};

constexpr int kStages = 2;
constexpr int kTile = 64;
constexpr int kTileBytes = kTile * kTile * 2;
constexpr int kBarrierOffset = (1 + kStages) * kTileBytes;
constexpr int kSharedBytes = kBarrierOffset + (1 + 2 * kStages) * 8;

// out[64, 64 tiles] = q [64, 64] times k[64 tiles, 64] transposed.
__global__ void pipelined(const __grid_constant__ TensorMap q_map,
                          const __grid_constant__ TensorMap k_map, float* out, int tiles,
                          Mistake mistake) {
  std::byte* const q = shared_memory();
  std::byte* const k = q + kTileBytes;
  auto* const q_full = reinterpret_cast<Mbarrier*>(shared_memory() + kBarrierOffset);
  Mbarrier* const full = q_full + 1;
  Mbarrier* const empty = full + kStages;
  if (thread_idx() == 0) {
    mbarrier_init(q_full, 1);
    for (int stage = 0; stage < kStages; ++stage) {
      mbarrier_init(&full[stage], 1);
      mbarrier_init(&empty[stage], 128);
    }
    if (mistake != Mistake::kNoInitFence) mbarrier_init_fence();
  }
  if (mistake != Mistake::kNoSyncAfterInit) sync_threads();

  if (thread_idx() >= 128) {
    if (!elect_one()) return;
    mbarrier_arrive_expect(q_full, kTileBytes);
    tma_load_4d(q, &q_map, q_full, 0, 0, 0, 0);
    for (int j = 0; j < tiles; ++j) {
      const int stage = j % kStages;
      if (mistake != Mistake::kNoWaitForEmpty) mbarrier_wait(&empty[stage], (j / kStages + 1) % 2);
      int bytes = kTileBytes;
      if (mistake == Mistake::kExpectsTooFew) bytes -= 16;
      if (mistake == Mistake::kExpectsTooMany) bytes += 16;
      mbarrier_arrive_expect(&full[stage], bytes);
      tma_load_4d(k + stage * kTileBytes, &k_map, &full[stage], 0, j * kTile, 0, 0);
    }
    return;
  }
  mbarrier_wait(q_full, 0);
  for (int j = 0; j < tiles; ++j) {
    const int stage = j % kStages;
    const int parity = j / kStages % 2;
    if (mistake == Mistake::kWrongParity) {
      mbarrier_wait(&full[stage], 1 - parity);
    } else if (mistake == Mistake::kWaitsElsewhere) {
      mbarrier_wait(q_full, 0);
    } else if (mistake != Mistake::kNoWaitForFull &&
               (mistake != Mistake::kOneWarpWaits || warp_idx() == 1)) {
      mbarrier_wait(&full[stage], parity);
    }
    float d[32];
    if (mistake != Mistake::kNoWgmmaFence) wgmma_fence();
    for (int step = 0; step < 4; ++step) {
      wgmma_m64k16<bfloat16, 64, false>(
          d, shared_descriptor(q + 32 * step, 16, 1024, Swizzle::k128),
          shared_descriptor(k + stage * kTileBytes + 32 * step, 16, 1024, Swizzle::k128), step > 0);
    }
    if (mistake != Mistake::kNoCommit) wgmma_commit();
    if (mistake == Mistake::kReleasesBeforeWait) mbarrier_arrive(&empty[stage]);
    if (mistake == Mistake::kWritesAccumulators) d[3] = 0.0f;
    if (mistake != Mistake::kNoWgmmaWait) wgmma_wait<0>();
    keep_accumulators(d);
    if (mistake != Mistake::kNoArrival && mistake != Mistake::kReleasesBeforeWait) {
      mbarrier_arrive(&empty[stage]);
    }
    for (int i = 0; i < 32; ++i) {
      const int row = warp_idx() * 16 + lane_idx() / 4 + i / 2 % 2 * 8;
      const int column = j * kTile + i / 4 * 8 + lane_idx() % 4 * 2 + i % 2;
      out[row * tiles * kTile + column] = d[i];
    }
  }
}

class PipelineTest : public testing::Test {
 protected:
  static constexpr int kTiles = 5;

  PipelineTest()
      : q_(hostexec::random_integers(64 * 64, 1)),
        k_(hostexec::random_integers(kTiles * 64 * 64, 2)),
        q(q_),
        k(k_),
        out(std::vector<float>(64 * kTiles * 64)) {}

  /// Empty where nothing was found wrong.
  std::string run(const hostexec::Schedule& schedule, Mistake mistake) {
    const auto map = [](const hostexec::Buffers<std::uint16_t>& tensor, int rows) {
      return encode_tensor_map(tensor.data(), DType::kBFloat16, {64, rows, 1, 1},
                               {0, 128, rows * 128, rows * 128}, {64, 64, 1, 1}, Swizzle::k128);
    };
    return hostexec::fault_of(schedule, [&] {
      launch({.grid = {}, .threads = 160, .shared_bytes = kSharedBytes}, pipelined, map(q, 64),
             map(k, kTiles * 64), out.data(), kTiles, mistake);
    });
  }

  /// The mistake is reported under every schedule but those in which it does no harm.
  void expect_found(Mistake mistake, const std::string& text) {
    int found = 0;
    for (const hostexec::Schedule& schedule : hostexec::all_schedules()) {
      const std::string fault = run(schedule, mistake);
      if (fault.empty()) continue;
      ++found;
      EXPECT_NE(fault.find(text), std::string::npos) << fault;
    }
    EXPECT_GT(found, 0) << "nobody noticed; expected: " << text;
  }

  /// A race whatever the schedule.
  void expect_always_found(Mistake mistake) {
    for (const hostexec::Schedule& schedule : hostexec::all_schedules()) {
      EXPECT_NE(run(schedule, mistake).find("race"), std::string::npos);
    }
  }

  std::vector<std::uint16_t> q_;
  std::vector<std::uint16_t> k_;
  hostexec::Buffers<std::uint16_t> q;
  hostexec::Buffers<std::uint16_t> k;
  hostexec::Buffers<float> out;
};

TEST_F(PipelineTest, MultipliesUnderEverySchedule) {
  for (const hostexec::Schedule& schedule : hostexec::all_schedules()) {
    ASSERT_EQ(run(schedule, Mistake::kNone), "");
    for (int row = 0; row < 64; ++row) {
      for (int column = 0; column < kTiles * 64; ++column) {
        float expected = 0.0f;
        for (int d = 0; d < 64; ++d) {
          expected += hostexec::value_of(q_[static_cast<std::size_t>(row * 64 + d)]) *
                      hostexec::value_of(k_[static_cast<std::size_t>(column * 64 + d)]);
        }
        ASSERT_EQ(out.data()[row * kTiles * 64 + column], expected) << row << " " << column;
      }
    }
  }
}

TEST_F(PipelineTest, BarriersMustBeVisibleToTheCopyEngine) {
  expect_found(Mistake::kNoInitFence, "fence_proxy_async is missing");
}
TEST_F(PipelineTest, BarriersMustBeInitialisedFirst) {
  expect_found(Mistake::kNoSyncAfterInit, "");
}
TEST_F(PipelineTest, TilesMustHaveArrived) { expect_found(Mistake::kNoWaitForFull, "race"); }
TEST_F(PipelineTest, EveryWarpMustKnowThatTilesHaveArrived) {
  expect_always_found(Mistake::kOneWarpWaits);
}
TEST_F(PipelineTest, OtherBarriersDoNotOrderATile) {
  expect_always_found(Mistake::kWaitsElsewhere);
}
TEST_F(PipelineTest, StagesMustBeEmpty) { expect_found(Mistake::kNoWaitForEmpty, ""); }
TEST_F(PipelineTest, ExpectedBytesMustMatch) {
  expect_found(Mistake::kExpectsTooFew, "not expected");
  expect_found(Mistake::kExpectsTooMany, "deadlock");
}
TEST_F(PipelineTest, ParityMustAlternate) { expect_found(Mistake::kWrongParity, ""); }
TEST_F(PipelineTest, StagesMustBeReleased) { expect_found(Mistake::kNoArrival, "deadlock"); }
TEST_F(PipelineTest, StagesMayBeReleasedOnlyWhenTheyHaveBeenRead) {
  expect_found(Mistake::kReleasesBeforeWait, "race");
}
TEST_F(PipelineTest, ProductsNeedTheirFence) {
  expect_found(Mistake::kNoWgmmaFence, "without wgmma_fence");
}
TEST_F(PipelineTest, ProductsMustBeCommittedAndWaitedFor) {
  expect_found(Mistake::kNoCommit, "");
  expect_found(Mistake::kNoWgmmaWait, "");
}
TEST_F(PipelineTest, AccumulatorsBelongToTheProduct) {
  expect_found(Mistake::kWritesAccumulators, "accumulators were written before wgmma_wait");
}

}  // namespace
}  // namespace attnlab::cuda
