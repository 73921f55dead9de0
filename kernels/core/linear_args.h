// What the linear attention kernels of every backend are asked.
#pragma once

#include <cstdint>

#include "kernels/core/attention_args.h"

namespace attnlab {

enum class FeatureMapKind : std::uint8_t { kElu, kRelu, kIdentity };

/// S_t = exp(log_decay_t) S_(t-1) + phi(k_t) v_t^T, z alike, o_t = phi(q_t) S_t / (phi(q_t) z_t);
/// without `normalize` no division; 0 where the denominator is 0. Not causal: every query uses the
/// last S and z. Katharopoulos et al. 2020 (arXiv 2006.16236); scalar decay as in Sun et al. 2023
/// (RetNet, arXiv 2307.08621).
struct LinearOptions {
  FeatureMapKind feature_map = FeatureMapKind::kElu;
  bool causal = true;  ///< needs seqlen_q == seqlen_k
  bool normalize = true;
  const float* log_decay = nullptr;     ///< null = none; else <= 0, causal only; not owned
  std::int64_t decay_batch_stride = 0;  ///< elements
  std::int64_t decay_head_stride = 0;   ///< elements
  std::int64_t decay_token_stride = 0;  ///< elements; 0 = one value per head
};

struct LinearAttentionArgs {
  AttentionShape shape;
  LinearOptions options;
  TensorView q, k, v;
  TensorView out;
};

/// Reads q, k, v, out, grad_out; writes grad_q, grad_k, grad_v and, where its data is not null,
/// grad_log_decay: float32 `[batch, heads, seqlen, 1]`, the gradient per token (the caller sums it
/// where log_decay has one value per head).
struct LinearAttentionBackwardArgs {
  AttentionShape shape;
  LinearOptions options;
  TensorView q, k, v, out, grad_out;
  TensorView grad_q, grad_k, grad_v, grad_log_decay;
};

}  // namespace attnlab
