// The matrix products around materialised softmax, by the library (at::mm), cut into tasks by head
// and block of rows. Cut by shape only and one thread a task, so that bits do not depend on the
// number of threads; strided tensors and shared key heads (GQA) need no copies.
//
// Names: `scores` `[batch, heads, seqlen_q, seqlen_k]`; `query_rows` `[batch, heads, seqlen_q, n]`;
// `key_rows` `[batch, kv_heads, seqlen_k, n]`. All of one dtype, the last dimension contiguous.
#pragma once

#include <ATen/core/Tensor.h>

namespace attnlab::ops {

/// scores = query_rows * key_rows^T, head by head. Writes all of `scores`.
void product_to_scores(const at::Tensor& query_rows, const at::Tensor& key_rows,
                       const at::Tensor& scores);

/// query_rows = coeff * key_rows, head by head; coeff has the shape of scores.
void product_to_query_rows(const at::Tensor& coeff, const at::Tensor& key_rows,
                           const at::Tensor& query_rows);

/// key_rows = sum of coeff^T * query_rows over the heads of each group.
void product_to_key_rows(const at::Tensor& coeff, const at::Tensor& query_rows,
                         const at::Tensor& key_rows);

}  // namespace attnlab::ops
