// Exact softmax attention in plain Torch operations: the formula that exact variants are held
// against. Uses nothing from kernels/ but the meaning of the mask, written out here a second time
// on purpose.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "variants/api/variant.h"

namespace attnlab {

/// Mask of a softmax reference; same meaning as attnlab::Mask.
struct ReferenceMask {
  bool causal = false;
  std::int64_t window_left = -1;
  std::int64_t window_right = -1;
};

/// Boolean `[rows, seqlen_k]`: true where query_rows[i] (int64; undefined = all) may see key j.
at::Tensor visible_pairs(std::int64_t seqlen_q, std::int64_t seqlen_k, const ReferenceMask& mask,
                         const at::Tensor& query_rows, at::Device device);

/// The extra input that variants of softmax attention take, optional: `[heads]` float32.
ExtraInput alibi_slopes_input();

/// The slopes among `inputs`; none where they were not given.
std::optional<at::Tensor> alibi_slopes(const Inputs& inputs);

/// softmax(scores) under the mask, of scores `[batch, heads, rows, seqlen_k]` to which ALiBi's bias
/// (minus slope * |diagonal - key|) is added where `inputs` have slopes. A row with no visible key
/// is all 0. Differentiable.
at::Tensor masked_softmax(const at::Tensor& scores, const Inputs& inputs, const ReferenceMask& mask,
                          const at::Tensor& query_rows);

/// masked_softmax(scale * q k^T): `[batch, heads, rows, seqlen_k]`, in the inputs' dtype.
at::Tensor softmax_weights(const Inputs& inputs, const ReferenceMask& mask,
                           const at::Tensor& query_rows);

/// softmax_weights times v: `[batch, heads, rows, head_dim_v]`.
at::Tensor softmax_reference(const Inputs& inputs, const ReferenceMask& mask,
                             const at::Tensor& query_rows);

/// `[batch, kv_heads, ...]` to `[batch, heads, ...]`: each head repeated for its group of queries.
at::Tensor repeat_kv_heads(const at::Tensor& tensor, std::int64_t heads);

/// The selected rows of a `[batch, heads, seqlen, n]` tensor; all where `rows` is undefined.
at::Tensor select_rows(const at::Tensor& tensor, const at::Tensor& rows);

}  // namespace attnlab
