// What operators accept. The CPU and the Meta kernels call the same functions, so that a traced
// call is refused exactly where a real one is. All look at sizes, dtypes and devices only (sizes
// may be symbolic), but for the ones named `*_values`. All throw UnsupportedError; `op` names the
// operator in the message.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/ops/ops.h"

namespace attnlab::ops {

void check_attention(const char* op, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const AttentionOptions& options);

void check_linear_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const LinearAttentionOptions& options);

void check_decode_attention(const char* op, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const std::optional<double>& scale,
                            const std::optional<at::Tensor>& seqlens);

/// That `tensor` has the shape, dtype and device of an output of the forward call. `name` is its
/// name in the schema.
void check_out_like(const char* op, const char* name, const at::Tensor& tensor, const at::Tensor& q,
                    const at::Tensor& v);
void check_lse_like(const char* op, const at::Tensor& lse, const at::Tensor& q);
void check_weights_like(const char* op, const char* name, const at::Tensor& tensor,
                        const at::Tensor& q, const at::Tensor& k);

/// That every decay is <= 0 (NaN is refused too).
void check_log_decay_values(const at::Tensor& log_decay);

/// The lengths as int64, after checking that each is from 0 to seqlen_k.
std::vector<std::int64_t> checked_seqlens_values(const char* op, const at::Tensor& seqlens,
                                                 std::int64_t seqlen_k);

}  // namespace attnlab::ops
