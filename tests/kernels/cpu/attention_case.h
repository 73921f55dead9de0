// One attention problem with its tensors: runs the CPU kernels and compares with the formulas.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/cpu/flash_attention.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel_table.h"
#include "tests/support/host_tensor.h"
#include "tests/support/reference_attention.h"

namespace attnlab::testing {

struct AttentionCase {
  AttentionShape shape;
  MaskOptions mask;
  ScoreOptions score;
  HostTensor q, k, v, out, lse, grad_out, grad_q, grad_k, grad_v;
  std::vector<float> slopes;
  std::vector<std::int64_t> seqlens;

  AttentionCase(const AttentionShape& s, const MaskOptions& m, Layout layout = Layout::kHeadsFirst);
  AttentionCase(const AttentionCase&) = delete;
  AttentionCase& operator=(const AttentionCase&) = delete;

  void use_alibi();
  void use_seqlens(std::vector<std::int64_t> lengths);

  AttentionArgs forward_args() const;
  AttentionBackwardArgs backward_args() const;

  /// Outputs and workspace are poisoned first.
  void run_forward(int workers = 2);
  void run_backward(int workers = 2);

  /// Both directions against float64, with a description of the case where they differ.
  void expect_forward();
  void expect_backward();

  std::string describe() const;
};

inline AttentionShape make_shape(std::int64_t batch, std::int64_t heads, std::int64_t kv_heads,
                                 std::int64_t seqlen_q, std::int64_t seqlen_k,
                                 std::int64_t head_dim, std::int64_t head_dim_v,
                                 DType dtype = DType::kFloat32) {
  return {batch, heads, kv_heads, seqlen_q, seqlen_k, head_dim, head_dim_v, dtype};
}

/// Full, causal, and windows of several kinds.
std::vector<MaskOptions> all_masks();

}  // namespace attnlab::testing
