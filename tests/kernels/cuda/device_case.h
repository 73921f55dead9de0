// An attention problem whose tensors are copied to a device, run there and copied back.
#pragma once

#include "kernels/cuda/device_model.h"
#include "kernels/cuda/launch.h"
#include "tests/support/attention_tensors.h"
#include "tests/support/device_tensor.h"

namespace attnlab::testing {

/// The host functions of one family of kernels.
struct FlashFamily {
  KernelPlan (*plan_forward)(const AttentionShape&, const cuda::DeviceModel&);
  void (*run_forward)(const AttentionArgs&, const KernelPlan&, std::span<std::byte>,
                      const cuda::DeviceModel&, cuda::Stream);
  KernelPlan (*plan_backward)(const AttentionShape&, const cuda::DeviceModel&);
  void (*run_backward)(const AttentionBackwardArgs&, const KernelPlan&, std::span<std::byte>,
                       const cuda::DeviceModel&, cuda::Stream);
};

/// Device memory for the tensors of a problem.
struct DeviceCopies {
  DeviceTensor q, k, v, out, lse, grad_out, grad_q, grad_k, grad_v;
  DeviceArray<float> slopes;
  DeviceArray<std::int64_t> seqlens;

  DeviceCopies(const AttentionTensors& c, std::int64_t offset)
      : q(c.q, offset),
        k(c.k, offset),
        v(c.v, offset),
        out(c.out, offset),
        lse(c.lse, offset),
        grad_out(c.grad_out, offset),
        grad_q(c.grad_q, offset),
        grad_k(c.grad_k, offset),
        grad_v(c.grad_v, offset),
        slopes(c.slopes),
        seqlens(c.seqlens) {}

  AttentionArgs forward_args(const AttentionTensors& c) const {
    return {c.shape, mask(c), score(c), q.view(), k.view(), v.view(), out.view(), lse.view()};
  }
  AttentionBackwardArgs backward_args(const AttentionTensors& c) const {
    return {c.shape,    mask(c),    score(c),        q.view(),      k.view(),      v.view(),
            out.view(), lse.view(), grad_out.view(), grad_q.view(), grad_k.view(), grad_v.view()};
  }

 private:
  MaskOptions mask(const AttentionTensors& c) const {
    MaskOptions options = c.mask;
    options.seqlens_k = seqlens.data();
    return options;
  }
  ScoreOptions score(const AttentionTensors& c) const {
    ScoreOptions options = c.score;
    options.alibi_slopes = slopes.data();
    return options;
  }
};

struct DeviceCase : AttentionTensors {
  using AttentionTensors::AttentionTensors;

  std::int64_t offset = 0;  ///< elements by which every tensor misses the alignment of its memory

  /// Outputs and workspace are poisoned first.
  void run_forward(const FlashFamily& family) {
    poison_outputs();
    const DeviceCopies device(*this, offset);
    const KernelPlan plan = family.plan_forward(shape, device_model());
    const DeviceBuffer workspace(plan.workspace_bytes);
    family.run_forward(device.forward_args(*this), plan, workspace.span(), device_model(), nullptr);
    device.out.download(out);
    device.lse.download(lse);
  }

  /// After run_forward.
  void run_backward(const FlashFamily& family) {
    poison_gradients();
    const DeviceCopies device(*this, offset);
    const KernelPlan plan = family.plan_backward(shape, device_model());
    const DeviceBuffer workspace(plan.workspace_bytes);
    family.run_backward(device.backward_args(*this), plan, workspace.span(), device_model(),
                        nullptr);
    device.grad_q.download(grad_q);
    device.grad_k.download(grad_k);
    device.grad_v.download(grad_v);
  }

  /// Both directions against float64, with a description of the case where they differ.
  void expect_forward(const FlashFamily& family) {
    run_forward(family);
    compare_forward();
  }
  void expect_both(const FlashFamily& family) {
    run_forward(family);
    compare_forward();
    run_backward(family);
    compare_backward();
  }
};

}  // namespace attnlab::testing
