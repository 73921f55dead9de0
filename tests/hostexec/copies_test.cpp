// cp.async: what arrives, when, and what happens to those who do not wait.
#include "hostexec/test_support.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {
namespace {

using hostexec::always_faults_with;
using hostexec::download;
using hostexec::fault_of;
using hostexec::faults_with;
using testing::DeviceArray;
using testing::DeviceBuffer;
using testing::run_kernels_everywhere;

std::vector<int> numbers(int count) {
  std::vector<int> values(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = i + 1;
  return values;
}

int* ints(const DeviceBuffer& buffer) { return reinterpret_cast<int*>(buffer.data()); }

/// Two groups of 16 bytes per thread, the second not waited for at first.
__global__ void copy_two_groups(const int* in, int* out) {
  int* const first = reinterpret_cast<int*>(shared_memory()) + 4 * thread_idx();
  int* const second = first + 4 * block_dim();
  copy_async<16>(first, in + 4 * thread_idx(), true);
  copy_async_commit();
  copy_async<16>(second, in + 4 * thread_idx() + 4 * block_dim(), thread_idx() % 2 == 0);
  copy_async_commit();
  copy_async_wait<1>();
  for (int i = 0; i < 4; ++i) out[4 * thread_idx() + i] = first[i];
  copy_async_wait<0>();
  sync_threads();
  const int other = thread_idx() ^ 32;
  const int* const from = reinterpret_cast<int*>(shared_memory()) + 4 * (block_dim() + other);
  for (int i = 0; i < 4; ++i) out[4 * (block_dim() + other) + i] = from[i];
}

TEST(Copies, ArriveByGroupsAndZeroWhatIsNotValid) {
  run_kernels_everywhere([] {
    const DeviceArray<int> in(numbers(512));
    DeviceBuffer out(512 * 4);
    launch({{1}, 64, 2048}, copy_two_groups, in.data(), ints(out));
    const std::vector<int> values = download<int>(out);
    for (int i = 0; i < 512; ++i) {
      const bool valid = i < 256 || (i - 256) / 4 % 2 == 0;
      EXPECT_EQ(values[static_cast<std::size_t>(i)], valid ? i + 1 : 0) << i;
    }
  });
}

TEST(Copies, InvalidOnesDoNotRead) {
  const auto kernel = +[](const int* in, bool valid) {
    int* const shared = reinterpret_cast<int*>(shared_memory());
    copy_async<4>(shared + thread_idx(), in + thread_idx(), valid);
    copy_async_commit();
    copy_async_wait<0>();
  };
  DeviceBuffer in(16);
  EXPECT_EQ(fault_of([&] { launch({{1}, 32, 128}, kernel, ints(in), false); }), "");
  EXPECT_TRUE(faults_with(
      [&] {
        launch({{1}, 32, 128}, kernel, ints(in), true);
      },
      {"out of bounds", "copies_test.cpp:"}));
}

__global__ void read_early(const int* in, int* out, int mistake) {
  int* const shared = reinterpret_cast<int*>(shared_memory());
  copy_async<4>(shared + thread_idx(), in + thread_idx(), true);
  if (mistake != 1) copy_async_commit();
  if (mistake != 2) copy_async_wait<0>();
  if (mistake != 3) sync_threads();
  out[thread_idx()] = shared[mistake == 4 ? thread_idx() : block_dim() - 1 - thread_idx()];
  if (mistake == 2) copy_async_wait<0>();
}

TEST(Copies, EveryForgottenStepIsFound) {
  const DeviceArray<int> in(numbers(64));
  DeviceBuffer out(64 * 4);
  const auto run = [&](int mistake) {
    launch({{1}, 64, 256}, read_early, in.data(), ints(out), mistake);
  };
  EXPECT_EQ(fault_of([&] { run(0); }), "");
  for (const int mistake : {1, 2}) {
    EXPECT_TRUE(always_faults_with([&] { run(mistake); },
                                   {"race: ", "asynchronous write that is not waited for"}));
  }
  EXPECT_TRUE(always_faults_with([&] { run(3); }, {"race: "}));
  EXPECT_EQ(fault_of([&] { run(4); }), "");
}

TEST(Copies, TheDestinationIsPoisonUntilTheBytesArrive) {
  // Looked at from outside, without the checks: what a kernel that reads too early would get.
  const auto kernel = +[](const int* in, int* out) {
    int* const shared = reinterpret_cast<int*>(shared_memory());
    shared[thread_idx()] = 5;
    copy_async<4>(shared + thread_idx(), in + thread_idx(), true);
    copy_async_commit();
    {
      const hostexec::Unwatched unchecked;
      out[thread_idx()] = shared[thread_idx()];
    }
    copy_async_wait<0>();
  };
  const DeviceArray<int> in(numbers(32));
  DeviceBuffer out(32 * 4);
  hostexec::set_schedule({hostexec::Order::kInOrder, hostexec::Completion::kLatest, 0});
  launch({{1}, 32, 128}, kernel, in.data(), ints(out));
  for (const int value : download<int>(out)) EXPECT_EQ(value, -1);
  hostexec::set_schedule({hostexec::Order::kInOrder, hostexec::Completion::kEarliest, 0});
  launch({{1}, 32, 128}, kernel, in.data(), ints(out));
  EXPECT_EQ(download<int>(out), numbers(32));
  hostexec::set_schedule({});
}

TEST(Copies, OverwritingWhatOthersStillReadIsFound) {
  const auto kernel = +[](const int* in, int* out, bool order) {
    int* const shared = reinterpret_cast<int*>(shared_memory());
    shared[thread_idx()] = 0;
    sync_threads();
    out[thread_idx()] = shared[thread_idx() ^ 32];
    if (order) sync_threads();
    copy_async<4>(shared + thread_idx(), in + thread_idx(), true);
    copy_async_commit();
    copy_async_wait<0>();
  };
  const DeviceArray<int> in(numbers(64));
  DeviceBuffer out(64 * 4);
  EXPECT_EQ(fault_of([&] { launch({{1}, 64, 256}, kernel, in.data(), ints(out), true); }), "");
  EXPECT_TRUE(always_faults_with(
      [&] {
        launch({{1}, 64, 256}, kernel, in.data(), ints(out), false);
      },
      {"race: "}));
}

TEST(Copies, AddressesAreChecked) {
  const auto kernel = +[](const int* in, int shared_offset, int global_offset) {
    copy_async<16>(shared_memory() + shared_offset, in + global_offset, true);
    copy_async_commit();
    copy_async_wait<0>();
  };
  DeviceBuffer in(64);
  const auto run = [&](int shared_offset, int global_offset) {
    return [&in, kernel, shared_offset, global_offset] {
      launch({{1}, 32, 64}, kernel, ints(in), shared_offset, global_offset);
    };
  };
  EXPECT_TRUE(faults_with(run(8, 0), {"copy_async of 16 bytes", "multiple"}));
  EXPECT_TRUE(faults_with(run(0, 1), {"copy_async of 16 bytes", "multiple"}));
  EXPECT_TRUE(faults_with(run(64, 0), {"out of bounds", "byte 64 of shared memory"}));
  EXPECT_TRUE(faults_with(run(0, 16), {"out of bounds"}));
}

TEST(Copies, AThreadHasToWaitBeforeItEnds) {
  const auto kernel = +[](const int* in) {
    copy_async<4>(shared_memory() + 4 * thread_idx(), in, true);
    copy_async_commit();
  };
  DeviceBuffer in(4);
  EXPECT_TRUE(always_faults_with(
      [&] {
        launch({{1}, 32, 128}, kernel, ints(in));
      },
      {"ends without waiting"}));
}

}  // namespace
}  // namespace attnlab::cuda
