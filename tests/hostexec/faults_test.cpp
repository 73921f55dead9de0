// Deadlocks, lanes that disagree, bounds and alignment: each fault is found, and its report says
// what, who and where.
#include "hostexec/test_support.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {
namespace {

using hostexec::always_faults_with;
using hostexec::fault_of;
using hostexec::faults_with;
using testing::DeviceBuffer;

int* ints(const DeviceBuffer& buffer) { return reinterpret_cast<int*>(buffer.data()); }

std::string here(int line) { return "faults_test.cpp:" + std::to_string(line); }

__global__ void one_warp_misses_a_barrier() {
  if (warp_idx() != 1) sync_threads();
}

TEST(Faults, DeadlockAtABarrierNamesWhoWaitsWhere) {
  EXPECT_TRUE(always_faults_with(
      [] {
        launch({{1}, 96}, one_warp_misses_a_barrier);
      },
      {"deadlock", "one_warp_misses_a_barrier", "warp 0, all lanes: sync_threads (faults_test.cpp:",
       "warp 1, all lanes: ended", "warp 2, all lanes: sync_threads"}));
}

__global__ void one_lane_leaves_early() {
  if (thread_idx() == 9) return;
  ballot(true);
}

TEST(Faults, ALaneThatEndsBeforeACollectiveIsReported) {
  EXPECT_TRUE(always_faults_with(
      [] {
        launch({{1}, 32}, one_lane_leaves_early);
      },
      {"deadlock", "warp 0, lanes 0,1,2,3,4,5,6,7,8,10,", "ballot", "lanes 9: ended"}));
}

constexpr int kFirstLine = __LINE__ + 3;
__global__ void lanes_take_two_ways(float* out) {
  if (lane_idx() < 4) {
    *out = shuffle_xor(1.0f, 1);
  } else {
    *out = shuffle_xor(1.0f, 1);
  }
}

TEST(Faults, LanesAtDifferentCallsAreReported) {
  DeviceBuffer out(4);
  EXPECT_TRUE(always_faults_with(
      [&] {
        launch({{1}, 32}, lanes_take_two_ways, reinterpret_cast<float*>(out.data()));
      },
      {"lanes of a warp disagree", "shuffle_xor", here(kFirstLine), here(kFirstLine + 2)}));
}

__global__ void barrier_of_two_sizes() { named_barrier_sync(3, warp_idx() == 0 ? 64 : 96); }

TEST(Faults, BarriersWithDifferentCounts) {
  EXPECT_TRUE(always_faults_with(
      [] {
        launch({{1}, 96}, barrier_of_two_sizes);
      },
      {"named_barrier_sync of barrier 3", "64", "96"}));
}

TEST(Faults, BarrierNumbersAndCountsAreChecked) {
  const auto bad_number = +[] { named_barrier_sync(16, 32); };
  const auto bad_count = +[] { named_barrier_sync(1, 33); };
  const auto too_many = +[] { named_barrier_sync(1, 64); };
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32}, bad_number); }, {"barriers are 0 to 15"}));
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32}, bad_count); }, {"multiples of 32"}));
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32}, too_many); }, {"64 threads", "block's 32"}));
}

TEST(Faults, ShuffleFromALaneThatIsNone) {
  const auto kernel = +[] { shuffle(1, 32); };
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32}, kernel); }, {"lane 32"}));
}

__global__ void write_at(int* out, int index) {
  if (thread_idx() == 5) out[index] = 1;
}
__global__ void read_at(const int* in, int index, int* out) {
  if (thread_idx() == 5) *out = in[index];
}

TEST(Faults, GlobalMemoryIsBounded) {
  DeviceBuffer data(40);
  DeviceBuffer out(4);
  EXPECT_EQ(fault_of([&] { launch({{1}, 32}, write_at, ints(data), 9); }), "");
  for (const int index : {10, -1, 1 << 20}) {
    EXPECT_TRUE(faults_with(
        [&] {
          launch({{1}, 32}, write_at, ints(data), index);
        },
        {"out of bounds: writes 4 bytes", "thread 5 (warp 0, lane 5)", "write_at",
         "faults_test.cpp:"}));
    EXPECT_TRUE(faults_with(
        [&] {
          launch({{1}, 32}, read_at, ints(data), index, ints(out));
        },
        {"out of bounds: reads 4 bytes"}));
  }
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32}, write_at, nullptr, 0); }, {"out of bounds"}));
}

TEST(Faults, HostMemoryIsOutOfBounds) {
  const std::vector<int> host(8);
  DeviceBuffer out(4);
  EXPECT_TRUE(faults_with(
      [&] {
        launch({{1}, 32}, read_at, host.data(), 0, ints(out));
      },
      {"out of bounds"}));
}

TEST(Faults, FreedMemoryIsOutOfBounds) {
  int* freed = nullptr;
  {
    DeviceBuffer data(40);
    freed = ints(data);
  }
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32}, write_at, freed, 0); }, {"out of bounds"}));
}

TEST(Faults, SharedMemoryIsBounded) {
  const auto kernel = +[](int index) {
    if (thread_idx() == 0) reinterpret_cast<int*>(shared_memory())[index] = 1;
  };
  EXPECT_EQ(fault_of([&] { launch({{1}, 32, 36}, kernel, 8); }), "");
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32, 36}, kernel, 9); }, {"out of bounds"}));
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32, 36}, kernel, -1); }, {"out of bounds"}));
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32}, kernel, 0); }, {"out of bounds"}));
}

struct alignas(16) Quad {
  int x[4];
};

TEST(Faults, WideAccessesAreAligned) {
  const auto kernel = +[](const int* in, Quad* out) {
    out[thread_idx()] = *reinterpret_cast<const Quad*>(in + 4 * thread_idx());
  };
  DeviceBuffer in(32 * 16 + 4);
  DeviceBuffer out(32 * 16);
  Quad* const quads = reinterpret_cast<Quad*>(out.data());
  EXPECT_EQ(fault_of([&] { launch({{1}, 32}, kernel, ints(in), quads); }), "");
  EXPECT_TRUE(faults_with(
      [&] {
        launch({{1}, 32}, kernel, ints(in) + 1, quads);
      },
      {"misaligned", "16 bytes", "byte 4 of a buffer"}));
}

TEST(Faults, AtomicsAreBoundedAndAligned) {
  const auto kernel = +[](int* counter) { atomic_add(counter, 1); };
  DeviceBuffer data(8);
  EXPECT_EQ(fault_of([&] { launch({{1}, 32}, kernel, ints(data) + 1); }), "");
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32}, kernel, ints(data) + 2); }, {"out of bounds"}));
  int* const odd = reinterpret_cast<int*>(data.data() + 2);
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32}, kernel, odd); }, {"misaligned"}));
}

TEST(Faults, LaunchesAreChecked) {
  const auto kernel = +[] {};
  EXPECT_TRUE(faults_with([&] { launch({{1}, 48}, kernel); }, {"48 threads"}));
  EXPECT_TRUE(faults_with([&] { launch({{1}, 2048}, kernel); }, {"2048 threads"}));
  EXPECT_TRUE(faults_with([&] { launch({{0}, 32}, kernel); }, {"grid (0, 1, 1)"}));
  EXPECT_TRUE(faults_with([&] { launch({{1, 65536}, 32}, kernel); }, {"grid (1, 65536, 1)"}));
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32, 300000}, kernel); }, {"300000 bytes"}));
}

TEST(Faults, ALaunchAfterAFaultStartsAfresh) {
  DeviceBuffer out(4);
  EXPECT_NE(fault_of([] { launch({{1}, 96}, one_warp_misses_a_barrier); }), "");
  EXPECT_EQ(fault_of([&] { launch({{1}, 32}, write_at, ints(out), 0); }), "");
  EXPECT_EQ(*ints(out), 1);
}

TEST(Faults, ExceptionsOfKernelsEndTheLaunch) {
  const auto kernel = +[] {
    if (thread_idx() == 3) throw std::runtime_error("from a thread");
  };
  EXPECT_TRUE(faults_with([&] { launch({{1}, 32}, kernel); }, {"from a thread", "thread 3"}));
}

}  // namespace
}  // namespace attnlab::cuda
