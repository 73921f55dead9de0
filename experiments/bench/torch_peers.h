// The opponents: the same results from Torch operators, written as well as Torch allows.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace attnlab::bench {

/// Shapes as in kernels/ops/schemas.cpp; all results are `[batch, heads, seqlen_q, head_dim]`.

/// softmax(q k^T / sqrt(d)) v in three operators, without a mask.
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

/// True where the query may see the key: the `window` last keys up to its own. `[n, n]`, bool.
at::Tensor window_mask(std::int64_t n, std::int64_t window);

/// SDPA of one query per head; the heads that share a key-value head become its query rows.
at::Tensor grouped_rows_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

/// Causal linear attention with features elu(x) + 1 and normaliser (Katharopoulos et al. 2020,
/// arXiv 2006.16236), in chunks: pairs inside a chunk as a triangle, everything before as one
/// state. The looped one carries the state from chunk to chunk, the batched one computes the states
/// of all chunks at once and sums them up. Differentiable. Throws ConfigError where `chunk` does
/// not divide the length.
at::Tensor linear_looped(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         std::int64_t chunk);
at::Tensor linear_batched(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          std::int64_t chunk);

}  // namespace attnlab::bench
