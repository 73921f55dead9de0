// Both directions on sm_90a as a family of kernels for DeviceCase.
#pragma once

#include "kernels/cuda/hopper/flash.h"
#include "tests/kernels/cuda/device_case.h"
#include "tests/kernels/cuda/hopper/hopper_case.h"

namespace attnlab::testing {

/// On a Hopper with few multiprocessors, whatever device is asked for.
inline constexpr FlashFamily kHopper = {
    [](const AttentionShape& shape, const cuda::DeviceModel&) {
      return cuda::hopper::plan_forward(shape, kSmallHopper);
    },
    [](const AttentionArgs& args, const KernelPlan& plan, std::span<std::byte> workspace,
       const cuda::DeviceModel&, cuda::Stream stream) {
      cuda::hopper::run_forward(args, plan, workspace, kSmallHopper, stream);
    },
    [](const AttentionShape& shape, const cuda::DeviceModel&) {
      return cuda::hopper::plan_backward(shape, kSmallHopper);
    },
    [](const AttentionBackwardArgs& args, const KernelPlan& plan, std::span<std::byte> workspace,
       const cuda::DeviceModel&, cuda::Stream stream) {
      cuda::hopper::run_backward(args, plan, workspace, kSmallHopper, stream);
    }};

}  // namespace attnlab::testing
