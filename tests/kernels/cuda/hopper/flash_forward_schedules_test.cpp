// The pipeline under many orders of threads and times of asynchronous operations.
#include <gtest/gtest.h>

#include "hostexec/scheduler.h"
#include "tests/kernels/cuda/hopper/hopper_case.h"

namespace attnlab::testing {
namespace {

class HopperFlashSchedules : public ::testing::Test {
 protected:
  void TearDown() override { hostexec::set_schedule({}); }
};

TEST_F(HopperFlashSchedules, EveryKind) {
  for (const MaskOptions& mask : {MaskOptions{}, MaskOptions{true}, MaskOptions{false, 100, 20}}) {
    run_kernels_everywhere(
        [&] { HopperCase(half_shape(1, 2, 1, 140, 330, 128, 128), mask).expect(); });
    run_kernels_everywhere(
        [&] { HopperCase(half_shape(1, 1, 1, 200, 200, 64, 64), mask).expect(); });
    run_kernels_everywhere(
        [&] { HopperCase(half_shape(1, 1, 1, 70, 150, 256, 256), mask).expect(); });
  }
}

TEST_F(HopperFlashSchedules, Random) {
  for (unsigned seed = 10; seed < 16; ++seed) {
    hostexec::set_schedule({hostexec::Order::kRandom, hostexec::Completion::kRandom, seed});
    HopperCase(half_shape(1, 2, 1, 200, 300, 64, 64), {true}).expect();
    HopperCase(half_shape(1, 3, 1, 130, 300, 128, 64), {false, 150, -1}).expect();
  }
}

}  // namespace
}  // namespace attnlab::testing
