// The row kernels of materialised attention on CUDA devices: masked softmax over a stored score
// matrix and its derivative, and the sums for operands with NaN or Inf. The matrix products around
// them are the library's (the operator layer calls it), because this is the quadratic baseline that
// everybody knows and it must not be slow on purpose. All pointers are device memory, every call is
// asynchronous on `stream`; same bits in every run and for a batch slice.
#pragma once

#include "kernels/core/attention_args.h"
#include "kernels/cuda/launch.h"

namespace attnlab::cuda {

/// In place on `scores` `[batch, heads, seqlen_q, seqlen_k]` (last dimension contiguous): raw dot
/// products become softmax weights; masked pairs get weight 0, a row with no visible key is all 0.
/// `shape.dtype` is the dtype of scores; sums are kept in float32 or better.
void softmax_rows(const AttentionShape& shape, const MaskOptions& mask, const ScoreOptions& score,
                  const TensorView& scores, Stream stream);

/// In place on `grad_weights` (gradient of the weights becomes gradient of the raw dot products):
/// ds = w * (dw - sum(dw * w)) * d score / d dot. `dots` holds the raw dot products again and is
/// read only where score.softcap != 0 (data may be null otherwise). Masked pairs get exactly 0.
void softmax_rows_backward(const AttentionShape& shape, const MaskOptions& mask,
                           const ScoreOptions& score, const TensorView& weights,
                           const TensorView& dots, const TensorView& grad_weights, Stream stream);

/// out[b,h,i,:] = sum over kept pairs of coeff[b,h,i,j] * rows[b,h/group,j,:], per element, so a
/// NaN or Inf in a row that is masked for i is never touched (0 * NaN would leak in a library
/// product). Plain loops: called only where the operand is not finite. coeff `[batch, heads,
/// seqlen_q, seqlen_k]`, rows `[batch, kv_heads, seqlen_k, n]`, out `[batch, heads, seqlen_q, n]`.
void masked_weighted_sum(const AttentionShape& shape, const MaskOptions& mask,
                         const TensorView& coeff, const TensorView& rows, const TensorView& out,
                         Stream stream);

/// The transposed one, for gradients of keys and values: out[b,g,j,:] = sum over heads h of group g
/// and kept pairs of coeff[b,h,i,j] * rows[b,h,i,:]. rows `[batch, heads, seqlen_q, n]`, out
/// `[batch, kv_heads, seqlen_k, n]`.
void masked_weighted_sum_transposed(const AttentionShape& shape, const MaskOptions& mask,
                                    const TensorView& coeff, const TensorView& rows,
                                    const TensorView& out, Stream stream);

}  // namespace attnlab::cuda
