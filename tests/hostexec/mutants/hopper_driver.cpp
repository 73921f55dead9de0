// A few cases of kernels/cuda/hopper that use every part of the kernel: what mutants are run
// against.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/cuda/hopper/flash.h"
#include "tests/kernels/cuda/device_case.h"

namespace attnlab::testing {
namespace {

/// So few multiprocessors that a block computes several tiles.
constexpr cuda::DeviceModel kSmallHopper{90, 2, 227 * 1024, 50 * 1024 * 1024};

void run(DeviceCase& c) {
  c.poison_outputs();
  const DeviceCopies device(c, 0);
  const AttentionArgs args = device.forward_args(c);
  const KernelPlan plan = cuda::hopper::plan_forward(c.shape, kSmallHopper);
  cuda::hopper::run_forward(args, plan, {}, kSmallHopper, nullptr);
  device.out.download(c.out);
  device.lse.download(c.lse);
}

TEST(HopperMutants, CausalTilesInEverySchedule) {
  run_kernels_everywhere([] {
    DeviceCase c(make_shape(1, 4, 2, 140, 330, 128, 128, DType::kBFloat16), {true});
    run(c);
    c.compare_forward();
  });
}

TEST(HopperMutants, WindowInSmallHeads) {
  run_kernels_everywhere([] {
    DeviceCase c(make_shape(1, 3, 1, 200, 500, 64, 24, DType::kFloat16), {false, 150, 20});
    run(c);
    c.compare_forward();
  });
}

TEST(HopperMutants, MaskedValuesStayHidden) {
  DeviceCase c(make_shape(1, 1, 1, 140, 140, 64, 64, DType::kBFloat16), {true});
  c.v.fill_row(100, std::numeric_limits<double>::quiet_NaN());
  run(c);
  for (std::int64_t i = 0; i < 140; ++i) {
    const double out = c.out.get(0, 0, i, 0);
    EXPECT_EQ(out == out, i < 100) << i;
  }
}

}  // namespace
}  // namespace attnlab::testing
