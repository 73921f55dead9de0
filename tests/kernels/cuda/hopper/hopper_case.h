// One problem for the forward kernels of sm_90a, run on the device of the tests.
#pragma once

#include <limits>
#include <vector>

#include "kernels/cuda/hopper/flash.h"
#include "tests/support/attention_tensors.h"
#include "tests/support/device_tensor.h"

namespace attnlab::testing {

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// An H100 with so few multiprocessors that a block computes several tiles.
inline constexpr cuda::DeviceModel kSmallHopper{90, 3, 227 * 1024, 50 * 1024 * 1024};

struct HopperCase : AttentionTensors {
  using AttentionTensors::AttentionTensors;

  void run(const cuda::DeviceModel& device = kSmallHopper) {
    poison_outputs();
    const DeviceTensor device_q(q), device_k(k), device_v(v), device_out(out), device_lse(lse);
    const DeviceArray<std::int64_t> lengths(seqlens);
    AttentionArgs args = forward_args();
    args.q = device_q.view();
    args.k = device_k.view();
    args.v = device_v.view();
    args.out = device_out.view();
    args.lse = device_lse.view();
    args.mask.seqlens_k = lengths.data();
    ASSERT_TRUE(cuda::hopper::supports_forward(args, device));
    const KernelPlan plan = cuda::hopper::plan_forward(shape, device);
    EXPECT_EQ(plan.workspace_bytes, 0);
    cuda::hopper::run_forward(args, plan, {}, device, nullptr);
    device_out.download(out);
    device_lse.download(lse);
  }

  void expect(const cuda::DeviceModel& device = kSmallHopper) {
    run(device);
    compare_forward();
  }
};

inline AttentionShape half_shape(std::int64_t batch, std::int64_t heads, std::int64_t kv_heads,
                                 std::int64_t seqlen_q, std::int64_t seqlen_k,
                                 std::int64_t head_dim, std::int64_t head_dim_v,
                                 DType dtype = DType::kBFloat16) {
  return make_shape(batch, heads, kv_heads, seqlen_q, seqlen_k, head_dim, head_dim_v, dtype);
}

}  // namespace attnlab::testing
