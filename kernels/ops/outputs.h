// The outputs of every operator, empty and contiguous: one definition for the CPU and the Meta
// kernels, so that traced and real shapes cannot differ. Sizes may be symbolic.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace attnlab::ops {

/// out `[batch, heads, seqlen_q, head_dim_v]`, dtype of q.
at::Tensor empty_out(const at::Tensor& q, const at::Tensor& v);

/// lse `[batch, heads, seqlen_q]`, float32 or, for float64 inputs, float64.
at::Tensor empty_lse(const at::Tensor& q);

/// weights `[batch, heads, seqlen_q, seqlen_k]`, dtype of q.
at::Tensor empty_weights(const at::Tensor& q, const at::Tensor& k);

/// Shapes and dtypes of q, k, v.
std::tuple<at::Tensor, at::Tensor, at::Tensor> empty_gradients(const at::Tensor& q,
                                                               const at::Tensor& k,
                                                               const at::Tensor& v);

/// Shape of log_decay, or `[0]` where there is none; float32.
at::Tensor empty_grad_log_decay(const at::Tensor& q, const std::optional<at::Tensor>& log_decay);

}  // namespace attnlab::ops
