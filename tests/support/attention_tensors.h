// The tensors of one attention problem in host memory, and comparisons of what a kernel wrote with
// the formulas. Backends' tests derive from it and run their kernels.
#pragma once

#include <string>
#include <vector>

#include "tests/support/host_tensor.h"
#include "tests/support/reference_attention.h"

namespace attnlab::testing {

struct AttentionTensors {
  AttentionShape shape;
  MaskOptions mask;
  ScoreOptions score;
  HostTensor q, k, v, out, lse, grad_out, grad_q, grad_k, grad_v;
  std::vector<float> slopes;
  std::vector<std::int64_t> seqlens;

  AttentionTensors(const AttentionShape& s, const MaskOptions& m,
                   Layout layout = Layout::kHeadsFirst);
  AttentionTensors(const AttentionTensors&) = delete;
  AttentionTensors& operator=(const AttentionTensors&) = delete;

  void use_alibi();
  void use_seqlens(std::vector<std::int64_t> lengths);

  AttentionArgs forward_args() const;
  AttentionBackwardArgs backward_args() const;

  void poison_outputs();
  void poison_gradients();

  /// out and lse, or the gradients, against float64, with a description of the case where they
  /// differ.
  void compare_forward() const;
  void compare_backward() const;

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
