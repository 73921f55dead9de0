// Autograd of the backward operators: they run, but differentiating them is an error, never zeros.

#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/util/StringUtil.h>
#include <torch/csrc/autograd/custom_function.h>

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <tuple>

#include "kernels/core/error.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/torch_pch.h"

namespace attnlab::ops {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = std::optional<Tensor>;

variable_list to_list(const Gradients& g) {
  return {std::get<0>(g), std::get<1>(g), std::get<2>(g)};
}

/// Runs a backward operator and refuses to be differentiated. `inputs` are its tensors.
struct OnceDifferentiable : torch::autograd::Function<OnceDifferentiable> {
  static variable_list forward(AutogradContext* ctx, at::TensorList, const std::string& name,
                               const std::function<variable_list()>& run) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    ctx->saved_data["name"] = name;
    return run();
  }

  static variable_list backward(AutogradContext* ctx, const variable_list&) {
    throw UnsupportedError(c10::str("[", ctx->saved_data["name"].toStringRef(),
                                    "] second derivatives are not implemented: call backward() or "
                                    "grad() without create_graph, or use plain Torch operations"));
  }
};

/// Adds the tensors that exist to the list that autograd looks at.
variable_list defined_tensors(std::initializer_list<MaybeTensor> tensors) {
  variable_list result;
  for (const MaybeTensor& t : tensors) {
    if (t && t->defined()) result.push_back(*t);
  }
  return result;
}

Gradients attention_backward_autograd(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                                      const Tensor& v, const Tensor& out, const Tensor& lse,
                                      std::optional<double> scale, bool causal,
                                      std::int64_t window_left, std::int64_t window_right,
                                      double softcap, const MaybeTensor& alibi_slopes) {
  const variable_list inputs = defined_tensors({grad_out, q, k, v, out, lse, alibi_slopes});
  const AttentionOptions options{scale, causal, window_left, window_right, softcap, alibi_slopes};
  const variable_list r = OnceDifferentiable::apply(
      at::TensorList(inputs), "attention_backward",
      [&] { return to_list(attention_backward(grad_out, q, k, v, out, lse, options)); });
  return {r[0], r[1], r[2]};
}

Gradients naive_attention_backward_autograd(const MaybeTensor& grad_out,
                                            const MaybeTensor& grad_weights, const Tensor& q,
                                            const Tensor& k, const Tensor& v, const Tensor& weights,
                                            std::optional<double> scale, bool causal,
                                            std::int64_t window_left, std::int64_t window_right,
                                            double softcap, const MaybeTensor& alibi_slopes) {
  const variable_list inputs =
      defined_tensors({grad_out, grad_weights, q, k, v, weights, alibi_slopes});
  const AttentionOptions options{scale, causal, window_left, window_right, softcap, alibi_slopes};
  const variable_list r =
      OnceDifferentiable::apply(at::TensorList(inputs), "naive_attention_backward", [&] {
        return to_list(naive_attention_backward(grad_out, grad_weights, q, k, v, weights, options));
      });
  return {r[0], r[1], r[2]};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> linear_attention_backward_autograd(
    const Tensor& grad_out, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
    c10::string_view feature_map, bool causal, const MaybeTensor& log_decay, bool normalize) {
  const variable_list inputs = defined_tensors({grad_out, q, k, v, out, log_decay});
  const LinearAttentionOptions options{std::string(feature_map), causal, log_decay, normalize};
  const variable_list r = OnceDifferentiable::apply(
      at::TensorList(inputs), "linear_attention_backward", [&]() -> variable_list {
        auto [grad_q, grad_k, grad_v, grad_log_decay] =
            linear_attention_backward(grad_out, q, k, v, out, options);
        return {grad_q, grad_k, grad_v, grad_log_decay};
      });
  return {r[0], r[1], r[2], r[3]};
}

Gradients decode_attention_backward_autograd(const Tensor& grad_out, const Tensor& q,
                                             const Tensor& k, const Tensor& v, const Tensor& out,
                                             const Tensor& lse, std::optional<double> scale,
                                             const MaybeTensor& seqlens) {
  const variable_list inputs = defined_tensors({grad_out, q, k, v, out, lse});
  const variable_list r =
      OnceDifferentiable::apply(at::TensorList(inputs), "decode_attention_backward", [&] {
        return to_list(decode_attention_backward(grad_out, q, k, v, out, lse, scale, seqlens));
      });
  return {r[0], r[1], r[2]};
}

}  // namespace

TORCH_LIBRARY_IMPL(attnlab, Autograd, m) {
  m.impl("attention_backward", &attention_backward_autograd);
  m.impl("naive_attention_backward", &naive_attention_backward_autograd);
  m.impl("linear_attention_backward", &linear_attention_backward_autograd);
  m.impl("decode_attention_backward", &decode_attention_backward_autograd);
}

}  // namespace attnlab::ops
