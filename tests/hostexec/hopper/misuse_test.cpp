// Single calls that no kernel may make, and what they say; registers; the elected lane.
#include <gtest/gtest.h>

#include <string>

#include "hostexec/hopper/test_support.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {
namespace {

using hostexec::fault_of;

/// Runs `kernel(argument)` with `threads` threads; what it reports.
template <class Argument>
std::string run(void (*kernel)(Argument), Argument argument, int threads = 32) {
  return fault_of({}, [&] {
    launch({.grid = {}, .threads = threads, .shared_bytes = 1024}, kernel, argument);
  });
}

void expect_says(const std::string& fault, const std::string& text) {
  EXPECT_NE(fault.find(text), std::string::npos) << "expected: " << text << "; found: " << fault;
}

enum class Call {
  kInitTwice,
  kNoArrivals,
  kNotInitialised,
  kTooManyArrivals,
  kOddParity,
  kTooManyBytes,
  kMisaligned,
  kOutside,
};

__global__ void call_mbarrier(Call call) {
  if (thread_idx() != 0) return;
  auto* const barrier = reinterpret_cast<Mbarrier*>(shared_memory());
  if (call == Call::kMisaligned) {
    return mbarrier_init(reinterpret_cast<Mbarrier*>(shared_memory() + 4), 1);
  }
  if (call == Call::kOutside) return mbarrier_init(barrier + 128, 1);
  if (call == Call::kNoArrivals) return mbarrier_init(barrier, 0);
  if (call != Call::kNotInitialised) mbarrier_init(barrier, 2);
  if (call == Call::kInitTwice) mbarrier_init(barrier, 2);
  if (call == Call::kOddParity) mbarrier_wait(barrier, 2);
  mbarrier_arrive_expect(barrier, call == Call::kTooManyBytes ? 1 << 20 : 16);
  mbarrier_arrive(barrier);
  // The phase waits for its bytes, and for no thread.
  mbarrier_arrive(barrier);
}

TEST(MbarrierTest, RefusesMisuse) {
  expect_says(run(call_mbarrier, Call::kInitTwice), "initialised twice");
  expect_says(run(call_mbarrier, Call::kNoArrivals), "with 0 arrivals; allowed: 1 to");
  expect_says(run(call_mbarrier, Call::kNotInitialised), "was not initialised");
  expect_says(run(call_mbarrier, Call::kTooManyArrivals), "more than 2 arrivals in phase 0");
  expect_says(run(call_mbarrier, Call::kOddParity), "parity 2; allowed: 0, 1");
  expect_says(run(call_mbarrier, Call::kTooManyBytes), "cannot expect 1048576 further bytes");
  expect_says(run(call_mbarrier, Call::kMisaligned), "at offset 4 of shared memory");
  expect_says(run(call_mbarrier, Call::kOutside), "is not in the block's 1024 bytes");
}

TEST(MbarrierTest, ReportsNameThePlace) {
  expect_says(run(call_mbarrier, Call::kInitTwice), "misuse_test.cpp:");
}

__global__ void wait_for_nobody(int parity) {
  auto* const barrier = reinterpret_cast<Mbarrier*>(shared_memory());
  if (thread_idx() == 0) mbarrier_init(barrier, 33);
  sync_threads();
  mbarrier_arrive(barrier);
  mbarrier_wait(barrier, parity);
}

TEST(MbarrierTest, FreshBarriersHaveCompletedTheOddPhase) {
  EXPECT_EQ(run(wait_for_nobody, 1), "");
  expect_says(run(wait_for_nobody, 0), "parity 0 of the mbarrier at offset 0");
}

// Thread 0 writes, arrives; the others wait, read: ordered. With `early` they read before.
__global__ void hand_over(bool early) {
  auto* const barrier = reinterpret_cast<Mbarrier*>(shared_memory());
  auto* const value = reinterpret_cast<int*>(shared_memory() + 8);
  if (thread_idx() == 0) mbarrier_init(barrier, 1);
  sync_threads();
  if (thread_idx() == 0) {
    *value = 1;
    mbarrier_arrive(barrier);
    return;
  }
  if (!early) mbarrier_wait(barrier, 0);
  if (*value == 2) sync_warp();
}

TEST(MbarrierTest, OrdersMemory) {
  EXPECT_EQ(run(hand_over, false), "");
  expect_says(run(hand_over, true), "race");
}

// 384 threads start with 168 registers each; 24 + 2 * 240 = 3 * 168.
__global__ void share_registers(int lowered) {
  if (warp_idx() < 4) {
    if (lowered == 24) lower_registers<24>();
    if (lowered == 32) lower_registers<32>();
    if (lowered == 176) lower_registers<176>();
  } else {
    raise_registers<240>();
  }
}

TEST(RegistersTest, MoveBetweenWarpgroups) {
  EXPECT_EQ(run(share_registers, 24, 384), "");
  expect_says(run(share_registers, 32, 384), "240 wanted of 504 for 3 warpgroups");
  expect_says(run(share_registers, 0, 384), "deadlock");
  expect_says(run(share_registers, 176, 384), "lower_registers from 168 to 176");
}

__global__ void count_elected(int* counts) {
  if (elect_one()) ++counts[warp_idx()];
  if (elect_one()) counts[2 + warp_idx()] = lane_idx();
  if (elect_one()) counts[4 + warp_idx()] = lane_idx();
}

TEST(ElectTest, ChoosesOneLaneAndTheSameAlways) {
  for (const unsigned seed : {0u, 5u, 31u}) {
    const hostexec::Buffers<int> counts(std::vector<int>(6));
    EXPECT_EQ(fault_of({hostexec::Order::kRandom, hostexec::Completion::kLatest, seed},
                       [&] { launch({.grid = {}, .threads = 64}, count_elected, counts.data()); }),
              "");
    for (int warp = 0; warp < 2; ++warp) {
      EXPECT_EQ(counts.data()[warp], 1);
      EXPECT_EQ(counts.data()[2 + warp], counts.data()[4 + warp]);
    }
  }
}

}  // namespace
}  // namespace attnlab::cuda
