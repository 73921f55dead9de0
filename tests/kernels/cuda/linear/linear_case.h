// One linear attention problem with its tensors: runs the CUDA kernels and compares with the
// formulas.
#pragma once

#include "kernels/cuda/linear/linear_attention.h"
#include "tests/support/attention_tensors.h"
#include "tests/support/device_tensor.h"
#include "tests/support/linear_tensors.h"

namespace attnlab::testing {

struct LinearCase : LinearTensors {
  using LinearTensors::LinearTensors;

  std::int64_t offset = 0;  ///< elements between the alignment of memory and the tensors

  void run_forward() {
    const DeviceArray<float> decays(decay);
    const DeviceTensor dq(q, offset), dk(k, offset), dv(v, offset), dout(out, offset);
    LinearAttentionArgs args = forward_args();
    args.options.log_decay = decays.data();
    args.q = dq.view();
    args.k = dk.view();
    args.v = dv.view();
    args.out = dout.view();
    const KernelPlan plan = cuda::plan_linear_attention(shape, options.causal, device_model());
    const DeviceBuffer workspace(plan.workspace_bytes);
    cuda::linear_attention(args, plan, workspace.span(), device_model(), nullptr);
    dout.download(out);
  }

  void run_backward() {
    const DeviceArray<float> decays(decay);
    const DeviceTensor dq(q, offset), dk(k, offset), dv(v, offset), dout(out, offset),
        dgrad_out(grad_out, offset), dgrad_q(grad_q, offset), dgrad_k(grad_k, offset),
        dgrad_v(grad_v, offset), dgrad_decay(grad_decay, offset);
    LinearAttentionBackwardArgs args = backward_args();
    args.options.log_decay = decays.data();
    args.q = dq.view();
    args.k = dk.view();
    args.v = dv.view();
    args.out = dout.view();
    args.grad_out = dgrad_out.view();
    args.grad_q = dgrad_q.view();
    args.grad_k = dgrad_k.view();
    args.grad_v = dgrad_v.view();
    if (args.grad_log_decay.data != nullptr) args.grad_log_decay = dgrad_decay.view();
    const KernelPlan plan =
        cuda::plan_linear_attention_backward(shape, options.causal, device_model());
    const DeviceBuffer workspace(plan.workspace_bytes);
    cuda::linear_attention_backward(args, plan, workspace.span(), device_model(), nullptr);
    dgrad_q.download(grad_q);
    dgrad_k.download(grad_k);
    dgrad_v.download(grad_v);
    dgrad_decay.download(grad_decay);
  }

  void run() {
    poison_results();
    run_forward();
    run_backward();
  }

  void expect_reference() {
    run();
    compare();
  }
};

}  // namespace attnlab::testing
