// Meta kernels: the same checks of shapes and the same outputs as on a device, without data. They
// make torch.compile, export and FakeTensors work; sizes may be symbolic.

#include <optional>
#include <tuple>

#include "kernels/ops/checks.h"
#include "kernels/ops/outputs.h"
#include "kernels/ops/torch_pch.h"

namespace attnlab::ops {
namespace {

using at::Tensor;
using Gradients = std::tuple<Tensor, Tensor, Tensor>;

std::tuple<Tensor, Tensor> attention_meta(const Tensor& q, const Tensor& k, const Tensor& v,
                                          std::optional<double> scale, bool causal,
                                          std::int64_t window_left, std::int64_t window_right,
                                          double softcap,
                                          const std::optional<Tensor>& alibi_slopes) {
  check_attention("attention", q, k, v,
                  {scale, causal, window_left, window_right, softcap, alibi_slopes});
  return {empty_out(q, v), empty_lse(q)};
}

Gradients attention_backward_meta(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                                  const Tensor& v, const Tensor& out, const Tensor& lse,
                                  std::optional<double> scale, bool causal,
                                  std::int64_t window_left, std::int64_t window_right,
                                  double softcap, const std::optional<Tensor>& alibi_slopes) {
  constexpr const char* kOp = "attention_backward";
  check_attention(kOp, q, k, v, {scale, causal, window_left, window_right, softcap, alibi_slopes});
  check_out_like(kOp, "grad_out", grad_out, q, v);
  check_out_like(kOp, "out", out, q, v);
  check_lse_like(kOp, lse, q);
  return empty_gradients(q, k, v);
}

std::tuple<Tensor, Tensor> naive_attention_meta(const Tensor& q, const Tensor& k, const Tensor& v,
                                                std::optional<double> scale, bool causal,
                                                std::int64_t window_left, std::int64_t window_right,
                                                double softcap,
                                                const std::optional<Tensor>& alibi_slopes) {
  check_attention("naive_attention", q, k, v,
                  {scale, causal, window_left, window_right, softcap, alibi_slopes});
  return {empty_out(q, v), empty_weights(q, k)};
}

Gradients naive_attention_backward_meta(const std::optional<Tensor>& grad_out,
                                        const std::optional<Tensor>& grad_weights, const Tensor& q,
                                        const Tensor& k, const Tensor& v, const Tensor& weights,
                                        std::optional<double> scale, bool causal,
                                        std::int64_t window_left, std::int64_t window_right,
                                        double softcap, const std::optional<Tensor>& alibi_slopes) {
  constexpr const char* kOp = "naive_attention_backward";
  check_attention(kOp, q, k, v, {scale, causal, window_left, window_right, softcap, alibi_slopes});
  if (grad_out) check_out_like(kOp, "grad_out", *grad_out, q, v);
  if (grad_weights) check_weights_like(kOp, "grad_weights", *grad_weights, q, k);
  check_weights_like(kOp, "weights", weights, q, k);
  return empty_gradients(q, k, v);
}

Tensor linear_attention_meta(const Tensor& q, const Tensor& k, const Tensor& v,
                             c10::string_view feature_map, bool causal,
                             const std::optional<Tensor>& log_decay, bool normalize) {
  check_linear_attention(q, k, v, {std::string(feature_map), causal, log_decay, normalize});
  return empty_out(q, v);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> linear_attention_backward_meta(
    const Tensor& grad_out, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
    c10::string_view feature_map, bool causal, const std::optional<Tensor>& log_decay,
    bool normalize) {
  constexpr const char* kOp = "linear_attention_backward";
  check_linear_attention(q, k, v, {std::string(feature_map), causal, log_decay, normalize});
  check_out_like(kOp, "grad_out", grad_out, q, v);
  check_out_like(kOp, "out", out, q, v);
  return std::tuple_cat(empty_gradients(q, k, v), std::tuple(empty_grad_log_decay(q, log_decay)));
}

std::tuple<Tensor, Tensor> decode_attention_meta(const Tensor& q, const Tensor& k, const Tensor& v,
                                                 std::optional<double> scale,
                                                 const std::optional<Tensor>& seqlens) {
  check_decode_attention("decode_attention", q, k, v, scale, seqlens);
  return {empty_out(q, v), empty_lse(q)};
}

Gradients decode_attention_backward_meta(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                                         const Tensor& v, const Tensor& out, const Tensor& lse,
                                         std::optional<double> scale,
                                         const std::optional<Tensor>& seqlens) {
  constexpr const char* kOp = "decode_attention_backward";
  check_decode_attention(kOp, q, k, v, scale, seqlens);
  check_out_like(kOp, "grad_out", grad_out, q, v);
  check_out_like(kOp, "out", out, q, v);
  check_lse_like(kOp, lse, q);
  return empty_gradients(q, k, v);
}

}  // namespace

TORCH_LIBRARY_IMPL(attnlab, Meta, m) {
  m.impl("attention", &attention_meta);
  m.impl("attention_backward", &attention_backward_meta);
  m.impl("naive_attention", &naive_attention_meta);
  m.impl("naive_attention_backward", &naive_attention_backward_meta);
  m.impl("linear_attention", &linear_attention_meta);
  m.impl("linear_attention_backward", &linear_attention_backward_meta);
  m.impl("decode_attention", &decode_attention_meta);
  m.impl("decode_attention_backward", &decode_attention_backward_meta);
}

}  // namespace attnlab::ops
