#include "tests/kernels/cpu/attention_case.h"

namespace attnlab::testing {

void AttentionCase::run_forward(int workers) {
  poison_outputs();
  const KernelPlan plan = cpu::plan_flash_attention(shape, workers);
  Workspace workspace(plan.workspace_bytes);
  cpu::flash_attention(forward_args(), plan, workspace.span(), threads());
}

void AttentionCase::run_backward(int workers) {
  poison_gradients();
  const KernelPlan plan = cpu::plan_flash_attention_backward(shape, workers);
  Workspace workspace(plan.workspace_bytes);
  cpu::flash_attention_backward(backward_args(), plan, workspace.span(), threads());
}

void AttentionCase::expect_forward() {
  run_forward();
  compare_forward();
}

void AttentionCase::expect_backward() {
  run_forward();
  run_backward();
  compare_backward();
}

}  // namespace attnlab::testing
