// The pipeline of backward under many orders of threads and times of asynchronous operations.
#include <gtest/gtest.h>

#include "hostexec/scheduler.h"
#include "tests/kernels/cuda/hopper/backward_case.h"

namespace attnlab::testing {
namespace {

class HopperFlashBackwardSchedules : public ::testing::Test {
 protected:
  void TearDown() override { hostexec::set_schedule({}); }
};

TEST_F(HopperFlashBackwardSchedules, EveryKind) {
  for (const MaskOptions& mask : {MaskOptions{true}, MaskOptions{false, 100, 20}}) {
    run_kernels_everywhere(
        [&] { DeviceCase(half_shape(1, 2, 1, 140, 230, 128, 128), mask).expect_both(kHopper); });
    run_kernels_everywhere(
        [&] { DeviceCase(half_shape(1, 1, 1, 270, 200, 64, 64), mask).expect_both(kHopper); });
  }
}

TEST_F(HopperFlashBackwardSchedules, Random) {
  for (unsigned seed = 10; seed < 13; ++seed) {
    hostexec::set_schedule({hostexec::Order::kRandom, hostexec::Completion::kRandom, seed});
    DeviceCase(half_shape(1, 2, 1, 200, 300, 64, 64), {true}).expect_both(kHopper);
    DeviceCase(half_shape(1, 1, 1, 130, 300, 128, 64), {false, 150, -1}).expect_both(kHopper);
  }
}

// Values are taken out of the tiles by both warpgroups together.
TEST_F(HopperFlashBackwardSchedules, RepairOfPartialBlocks) {
  run_kernels_everywhere([] {
    DeviceCase c(half_shape(1, 1, 1, 140, 140, 64, 64), {true});
    c.run_forward(kHopper);
    c.q.set(0, 0, 139, 3, kNan);
    c.run_backward(kHopper);
    for (std::int64_t i = 0; i < 139; ++i)
      ASSERT_TRUE(c.grad_q.get(0, 0, i, 0) == c.grad_q.get(0, 0, i, 0));
  });
}

}  // namespace
}  // namespace attnlab::testing
