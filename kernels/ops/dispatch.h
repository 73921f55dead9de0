// Calls of the backward operators through the Torch dispatcher, for the autograd formulas. The
// forward ones are in ops.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

#include "kernels/ops/ops.h"

namespace attnlab::ops {

using Gradients = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

/// attnlab::attention_backward -> (grad_q, grad_k, grad_v).
Gradients attention_backward(const at::Tensor& grad_out, const at::Tensor& q, const at::Tensor& k,
                             const at::Tensor& v, const at::Tensor& out, const at::Tensor& lse,
                             const AttentionOptions& options);

/// attnlab::naive_attention_backward; either incoming gradient may be missing.
Gradients naive_attention_backward(const std::optional<at::Tensor>& grad_out,
                                   const std::optional<at::Tensor>& grad_weights,
                                   const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                   const at::Tensor& weights, const AttentionOptions& options);

/// attnlab::linear_attention_backward -> (grad_q, grad_k, grad_v, grad_log_decay).
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> linear_attention_backward(
    const at::Tensor& grad_out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const LinearAttentionOptions& options);

/// attnlab::decode_attention_backward -> (grad_q, grad_k, grad_v).
Gradients decode_attention_backward(const at::Tensor& grad_out, const at::Tensor& q,
                                    const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
                                    const at::Tensor& lse, std::optional<double> scale,
                                    const std::optional<at::Tensor>& seqlens);

}  // namespace attnlab::ops
