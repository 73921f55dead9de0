// One linear attention problem with its tensors: runs the CPU kernels and compares with the
// formulas.
#pragma once

#include "kernels/cpu/linear_attention.h"
#include "tests/kernels/cpu/attention_case.h"
#include "tests/support/linear_tensors.h"

namespace attnlab::testing {

struct LinearCase : LinearTensors {
  using LinearTensors::LinearTensors;

  void run(int workers = 2) {
    poison_results();
    const KernelPlan plan = cpu::plan_linear_attention(shape, options.causal, workers);
    Workspace workspace(plan.workspace_bytes);
    cpu::linear_attention(forward_args(), plan, workspace.span(), threads());
    const KernelPlan back = cpu::plan_linear_attention_backward(shape, options.causal, workers);
    Workspace back_workspace(back.workspace_bytes);
    cpu::linear_attention_backward(backward_args(), back, back_workspace.span(), threads());
  }

  void expect_reference() {
    run();
    compare();
  }
};

}  // namespace attnlab::testing
