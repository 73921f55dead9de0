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

void run_backward(DeviceCase& c) {
  c.poison_gradients();
  const DeviceCopies device(c, 0);
  const KernelPlan plan = cuda::hopper::plan_backward(c.shape, kSmallHopper);
  const DeviceBuffer workspace(plan.workspace_bytes);
  cuda::hopper::run_backward(device.backward_args(c), plan, workspace.span(), kSmallHopper,
                             nullptr);
  device.grad_q.download(c.grad_q);
  device.grad_k.download(c.grad_k);
  device.grad_v.download(c.grad_v);
}

void expect_backward(const AttentionShape& shape, const MaskOptions& mask) {
  DeviceCase c(shape, mask);
  run(c);
  run_backward(c);
  c.compare_backward();
}

TEST(HopperMutants, BackwardInEverySchedule) {
  run_kernels_everywhere([] {
    expect_backward(make_shape(1, 2, 1, 140, 230, 128, 128, DType::kBFloat16), {true});
    expect_backward(make_shape(1, 1, 1, 200, 100, 64, 24, DType::kFloat16), {false, 150, 20});
  });
}

TEST(HopperMutants, BackwardAtTheEdgesOfBlocks) {
  // The second pair of groups of heads; a block of which the first query misses one key.
  expect_backward(make_shape(1, 4, 2, 30, 40, 64, 64, DType::kFloat16), {});
  expect_backward(make_shape(1, 1, 1, 140, 266, 64, 64, DType::kFloat16), {true});
}

TEST(HopperMutants, BackwardOfScoresOfMinusInfinity) {
  DeviceCase c(make_shape(1, 1, 1, 3, 70, 8, 8, DType::kBFloat16), {});
  for (std::int64_t x = 0; x < 8; ++x) c.q.set(0, 0, 1, x, 3e38);
  c.k.for_each([&](auto b, auto h, auto s, auto x) { c.k.set(b, h, s, x, -1e30); });
  c.score.scale = 1.0;
  run(c);
  run_backward(c);
  EXPECT_EQ(c.grad_q.get(0, 0, 1, 0), 0.0);
  EXPECT_EQ(c.grad_v.get(0, 0, 1, 0), c.grad_v.get(0, 0, 1, 0));
}

TEST(HopperMutants, MaskedGradientsStayHidden) {
  run_kernels_everywhere([] {
    for (HostTensor AttentionTensors::*bad :
         {&AttentionTensors::q, &AttentionTensors::k, &AttentionTensors::grad_out}) {
      DeviceCase c(make_shape(1, 1, 1, 140, 140, 64, 64, DType::kBFloat16), {true});
      run(c);
      (c.*bad).set(0, 0, 100, 0, std::numeric_limits<double>::quiet_NaN());
      run_backward(c);
      // Key 100 is in the sums of queries from 100 on, query 100 in those of keys up to 100.
      const bool is_key = bad == &AttentionTensors::k;
      const HostTensor& grad = is_key                        ? c.grad_q
                               : bad == &AttentionTensors::q ? c.grad_k
                                                             : c.grad_v;
      for (std::int64_t i = 0; i < 140; ++i) {
        const double value = grad.get(0, 0, i, 0);
        EXPECT_EQ(value == value, is_key ? i < 100 : i > 100) << i;
      }
    }
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
