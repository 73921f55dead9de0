// How the operators are differentiated: each forward saves what its backward operator reads.
//
// Saved beyond the inputs: attention and decode_attention out and lse, naive_attention the weights,
// linear_attention out. lse is marked as not differentiable. Incoming gradients that nobody made
// stay undefined instead of becoming N x N zeros.

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/StringUtil.h>
#include <torch/csrc/autograd/custom_function.h>

#include <functional>
#include <optional>
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

MaybeTensor if_defined(const Tensor& t) { return t.defined() ? MaybeTensor(t) : std::nullopt; }

Tensor or_undefined(const MaybeTensor& t) { return t.value_or(Tensor()); }

/// `gradients` for the first inputs, undefined where not asked for and for all `num_inputs` others.
variable_list asked_for(AutogradContext* ctx, const variable_list& gradients,
                        std::size_t num_inputs) {
  variable_list result(num_inputs);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (ctx->needs_input_grad(i)) result[i] = gradients[i];
  }
  return result;
}

variable_list to_list(const Gradients& g) {
  return {std::get<0>(g), std::get<1>(g), std::get<2>(g)};
}

void refuse_gradient(const char* op, const char* name, const MaybeTensor& t) {
  if (t && t->requires_grad() && at::GradMode::is_enabled()) {
    throw UnsupportedError(c10::str("[", op, "] ", name,
                                    " requires a gradient, but the operator is "
                                    "not differentiable in it: pass ",
                                    name, ".detach()"));
  }
}

void save_options(AutogradContext* ctx, const AttentionOptions& options) {
  ctx->saved_data["scale"] = options.scale;
  ctx->saved_data["causal"] = options.causal;
  ctx->saved_data["window_left"] = options.window_left;
  ctx->saved_data["window_right"] = options.window_right;
  ctx->saved_data["softcap"] = options.softcap;
}

AttentionOptions load_options(AutogradContext* ctx, const Tensor& alibi_slopes) {
  return {.scale = ctx->saved_data["scale"].toOptional<double>(),
          .causal = ctx->saved_data["causal"].toBool(),
          .window_left = ctx->saved_data["window_left"].toInt(),
          .window_right = ctx->saved_data["window_right"].toInt(),
          .softcap = ctx->saved_data["softcap"].toDouble(),
          .alibi_slopes = if_defined(alibi_slopes)};
}

struct AttentionFunction : torch::autograd::Function<AttentionFunction> {
  static variable_list forward(AutogradContext* ctx, const Tensor& q, const Tensor& k,
                               const Tensor& v, const AttentionOptions& options) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    auto [out, lse] = attention(q, k, v, options);
    ctx->save_for_backward({q, k, v, out, lse, or_undefined(options.alibi_slopes)});
    save_options(ctx, options);
    ctx->mark_non_differentiable({lse});
    ctx->set_materialize_grads(false);
    return {out, lse};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined()) return variable_list(4);
    const variable_list saved = ctx->get_saved_variables();
    return asked_for(ctx,
                     to_list(attention_backward(grads[0], saved[0], saved[1], saved[2], saved[3],
                                                saved[4], load_options(ctx, saved[5]))),
                     4);
  }
};

struct NaiveAttentionFunction : torch::autograd::Function<NaiveAttentionFunction> {
  static variable_list forward(AutogradContext* ctx, const Tensor& q, const Tensor& k,
                               const Tensor& v, const AttentionOptions& options) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    auto [out, weights] = naive_attention(q, k, v, options);
    ctx->save_for_backward({q, k, v, weights, or_undefined(options.alibi_slopes)});
    save_options(ctx, options);
    ctx->set_materialize_grads(false);
    return {out, weights};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined() && !grads[1].defined()) return variable_list(4);
    const variable_list saved = ctx->get_saved_variables();
    return asked_for(ctx,
                     to_list(naive_attention_backward(if_defined(grads[0]), if_defined(grads[1]),
                                                      saved[0], saved[1], saved[2], saved[3],
                                                      load_options(ctx, saved[4]))),
                     4);
  }
};

struct LinearAttentionFunction : torch::autograd::Function<LinearAttentionFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& q, const Tensor& k, const Tensor& v,
                        const MaybeTensor& log_decay, const LinearAttentionOptions& options) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    Tensor out = linear_attention(q, k, v, options);
    ctx->save_for_backward({q, k, v, out, or_undefined(log_decay)});
    ctx->saved_data["feature_map"] = options.feature_map;
    ctx->saved_data["causal"] = options.causal;
    ctx->saved_data["normalize"] = options.normalize;
    ctx->set_materialize_grads(false);
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined()) return variable_list(5);
    const variable_list saved = ctx->get_saved_variables();
    const LinearAttentionOptions options{
        .feature_map = ctx->saved_data["feature_map"].toStringRef(),
        .causal = ctx->saved_data["causal"].toBool(),
        .log_decay = if_defined(saved[4]),
        .normalize = ctx->saved_data["normalize"].toBool()};
    auto [grad_q, grad_k, grad_v, grad_log_decay] =
        linear_attention_backward(grads[0], saved[0], saved[1], saved[2], saved[3], options);
    variable_list gradients = {grad_q, grad_k, grad_v};
    if (options.log_decay) gradients.push_back(grad_log_decay);
    return asked_for(ctx, gradients, 5);
  }
};

struct DecodeAttentionFunction : torch::autograd::Function<DecodeAttentionFunction> {
  static variable_list forward(AutogradContext* ctx, const Tensor& q, const Tensor& k,
                               const Tensor& v, std::optional<double> scale,
                               const MaybeTensor& seqlens) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    auto [out, lse] = decode_attention(q, k, v, scale, seqlens);
    ctx->save_for_backward({q, k, v, out, lse, or_undefined(seqlens)});
    ctx->saved_data["scale"] = scale;
    ctx->mark_non_differentiable({lse});
    ctx->set_materialize_grads(false);
    return {out, lse};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[0].defined()) return variable_list(5);
    const variable_list saved = ctx->get_saved_variables();
    return asked_for(ctx,
                     to_list(decode_attention_backward(
                         grads[0], saved[0], saved[1], saved[2], saved[3], saved[4],
                         ctx->saved_data["scale"].toOptional<double>(), if_defined(saved[5]))),
                     5);
  }
};

std::tuple<Tensor, Tensor> attention_autograd(const Tensor& q, const Tensor& k, const Tensor& v,
                                              std::optional<double> scale, bool causal,
                                              std::int64_t window_left, std::int64_t window_right,
                                              double softcap, const MaybeTensor& alibi_slopes) {
  refuse_gradient("attention", "alibi_slopes", alibi_slopes);
  const variable_list r = AttentionFunction::apply(
      q, k, v, AttentionOptions{scale, causal, window_left, window_right, softcap, alibi_slopes});
  return {r[0], r[1]};
}

std::tuple<Tensor, Tensor> naive_attention_autograd(const Tensor& q, const Tensor& k,
                                                    const Tensor& v, std::optional<double> scale,
                                                    bool causal, std::int64_t window_left,
                                                    std::int64_t window_right, double softcap,
                                                    const MaybeTensor& alibi_slopes) {
  refuse_gradient("naive_attention", "alibi_slopes", alibi_slopes);
  const variable_list r = NaiveAttentionFunction::apply(
      q, k, v, AttentionOptions{scale, causal, window_left, window_right, softcap, alibi_slopes});
  return {r[0], r[1]};
}

Tensor linear_attention_autograd(const Tensor& q, const Tensor& k, const Tensor& v,
                                 c10::string_view feature_map, bool causal,
                                 const MaybeTensor& log_decay, bool normalize) {
  return LinearAttentionFunction::apply(
      q, k, v, log_decay,
      LinearAttentionOptions{std::string(feature_map), causal, log_decay, normalize});
}

std::tuple<Tensor, Tensor> decode_attention_autograd(const Tensor& q, const Tensor& k,
                                                     const Tensor& v, std::optional<double> scale,
                                                     const MaybeTensor& seqlens) {
  const variable_list r = DecodeAttentionFunction::apply(q, k, v, scale, seqlens);
  return {r[0], r[1]};
}

}  // namespace

TORCH_LIBRARY_IMPL(attnlab, Autograd, m) {
  m.impl("attention", &attention_autograd);
  m.impl("naive_attention", &naive_attention_autograd);
  m.impl("linear_attention", &linear_attention_autograd);
  m.impl("decode_attention", &decode_attention_autograd);
}

}  // namespace attnlab::ops
