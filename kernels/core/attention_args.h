// What the softmax attention kernels of every backend are asked: tensors, mask, score.
#pragma once

#include <cstdint>

#include "kernels/core/mask.h"
#include "kernels/core/tensor_view.h"

namespace attnlab {

/// Sizes of one call. Shapes: q `[batch, heads, seqlen_q, head_dim]`, k `[batch, kv_heads,
/// seqlen_k, head_dim]`, v `[batch, kv_heads, seqlen_k, head_dim_v]`. heads is a multiple of
/// kv_heads and kv_head = head / (heads / kv_heads).
struct AttentionShape {
  std::int64_t batch = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t seqlen_q = 0;
  std::int64_t seqlen_k = 0;
  std::int64_t head_dim = 0;
  std::int64_t head_dim_v = 0;
  DType dtype = DType::kFloat32;
};

/// score = softcap(scale * dot) - slope * |q + seqlen_k - seqlen_q - k|, where
/// softcap(x) = c * tanh(x / c), or x where c == 0.
struct ScoreOptions {
  double scale = 1.0;
  double softcap = 0.0;
  const float* alibi_slopes = nullptr;  ///< null = no bias; not owned
  std::int64_t alibi_batch_stride = 0;  ///< elements; 0 for slopes `[heads]`
  std::int64_t alibi_head_stride = 0;   ///< elements
};

/// The mask without lengths: those come from the shape, or per batch item from `seqlens_k`.
struct MaskOptions {
  bool causal = false;
  std::int64_t window_left = -1;
  std::int64_t window_right = -1;
  const std::int64_t* seqlens_k = nullptr;  ///< `[batch]` valid keys of each item, or null

  ATTNLAB_HOST_DEVICE Mask mask(const AttentionShape& shape, std::int64_t batch_idx) const {
    const std::int64_t seqlen_k = seqlens_k != nullptr ? seqlens_k[batch_idx] : shape.seqlen_k;
    return {shape.seqlen_q, seqlen_k, causal, window_left, window_right};
  }
};

/// Forward: reads q, k, v; writes out `[batch, heads, seqlen_q, head_dim_v]` (dtype of q) and lse
/// `[batch, heads, seqlen_q, 1]` (natural log; float32, float64 for float64 inputs).
/// A row with no visible key: out = 0, lse = -inf.
struct AttentionArgs {
  AttentionShape shape;
  MaskOptions mask;
  ScoreOptions score;
  TensorView q, k, v;
  TensorView out, lse;
};

/// Backward: reads q, k, v, out, lse, grad_out; writes all of grad_q, grad_k, grad_v (shapes and
/// dtype of q, k, v). A row with no visible key has gradient 0.
struct AttentionBackwardArgs {
  AttentionShape shape;
  MaskOptions mask;
  ScoreOptions score;
  TensorView q, k, v, out, lse, grad_out;
  TensorView grad_q, grad_k, grad_v;
};

/// The one decision about a kernel call: what runs and what it needs. `supports`, `plan` and the
/// run itself all take it from the same function. Depends on the shape and the worker limit only,
/// and the result of the kernel does not depend on the worker limit.
struct KernelPlan {
  const char* kernel_name = "";      ///< static string; also a CSV column
  int num_workers = 1;               ///< bodies that may run at once
  std::int64_t workspace_bytes = 0;  ///< scratch the caller provides, 64-byte aligned
};

}  // namespace attnlab
