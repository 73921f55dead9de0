// One attention problem with its tensors, run by the CPU kernels.
#pragma once

#include "kernels/cpu/flash_attention.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel_table.h"
#include "tests/support/attention_tensors.h"

namespace attnlab::testing {

struct AttentionCase : AttentionTensors {
  using AttentionTensors::AttentionTensors;

  /// Outputs and workspace are poisoned first.
  void run_forward(int workers = 2);
  void run_backward(int workers = 2);

  /// Both directions against float64, with a description of the case where they differ.
  void expect_forward();
  void expect_backward();
};

}  // namespace attnlab::testing
