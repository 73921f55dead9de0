#include "kernels/ops/ops.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include "kernels/cpu/decode_attention.h"
#include "kernels/cpu/flash_attention.h"
#include "kernels/cpu/linear_attention.h"
#include "kernels/ops/device.h"
#include "kernels/ops/dispatch.h"
#include "kernels/ops/torch_pch.h"

namespace attnlab::ops {
namespace {

using at::Tensor;
using MaybeTensor = std::optional<Tensor>;
using Pair = std::tuple<Tensor, Tensor>;
using Quadruple = std::tuple<Tensor, Tensor, Tensor, Tensor>;

template <class Signature>
auto find_operator(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

std::int64_t weights_bytes(const AttentionShape& shape) {
  return shape.batch * shape.heads * shape.seqlen_q * shape.seqlen_k * element_size(shape.dtype);
}

const char* naive_name(PlanFor target) {
  return target.device == at::kCUDA ? "naive_attention_cuda" : "naive_attention_cpu";
}

OpPlan from_kernel(const KernelPlan& plan) { return {plan.kernel_name, plan.workspace_bytes, 0}; }

}  // namespace

Pair attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& o) {
  using Signature = Pair(const Tensor&, const Tensor&, const Tensor&, std::optional<double>, bool,
                         std::int64_t, std::int64_t, double, const MaybeTensor&);
  static const auto op = find_operator<Signature>("attnlab::attention");
  return op.call(q, k, v, o.scale, o.causal, o.window_left, o.window_right, o.softcap,
                 o.alibi_slopes);
}

Gradients attention_backward(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                             const Tensor& v, const Tensor& out, const Tensor& lse,
                             const AttentionOptions& o) {
  using Signature = Gradients(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                              const Tensor&, const Tensor&, std::optional<double>, bool,
                              std::int64_t, std::int64_t, double, const MaybeTensor&);
  static const auto op = find_operator<Signature>("attnlab::attention_backward");
  return op.call(grad_out, q, k, v, out, lse, o.scale, o.causal, o.window_left, o.window_right,
                 o.softcap, o.alibi_slopes);
}

Pair naive_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& o) {
  using Signature = Pair(const Tensor&, const Tensor&, const Tensor&, std::optional<double>, bool,
                         std::int64_t, std::int64_t, double, const MaybeTensor&);
  static const auto op = find_operator<Signature>("attnlab::naive_attention");
  return op.call(q, k, v, o.scale, o.causal, o.window_left, o.window_right, o.softcap,
                 o.alibi_slopes);
}

Gradients naive_attention_backward(const MaybeTensor& grad_out, const MaybeTensor& grad_weights,
                                   const Tensor& q, const Tensor& k, const Tensor& v,
                                   const Tensor& weights, const AttentionOptions& o) {
  using Signature = Gradients(const MaybeTensor&, const MaybeTensor&, const Tensor&, const Tensor&,
                              const Tensor&, const Tensor&, std::optional<double>, bool,
                              std::int64_t, std::int64_t, double, const MaybeTensor&);
  static const auto op = find_operator<Signature>("attnlab::naive_attention_backward");
  return op.call(grad_out, grad_weights, q, k, v, weights, o.scale, o.causal, o.window_left,
                 o.window_right, o.softcap, o.alibi_slopes);
}

Tensor linear_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                        const LinearAttentionOptions& o) {
  using Signature = Tensor(const Tensor&, const Tensor&, const Tensor&, c10::string_view, bool,
                           const MaybeTensor&, bool);
  static const auto op = find_operator<Signature>("attnlab::linear_attention");
  return op.call(q, k, v, o.feature_map, o.causal, o.log_decay, o.normalize);
}

Quadruple linear_attention_backward(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                                    const Tensor& v, const Tensor& out,
                                    const LinearAttentionOptions& o) {
  using Signature = Quadruple(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                              const Tensor&, c10::string_view, bool, const MaybeTensor&, bool);
  static const auto op = find_operator<Signature>("attnlab::linear_attention_backward");
  return op.call(grad_out, q, k, v, out, o.feature_map, o.causal, o.log_decay, o.normalize);
}

Pair decode_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                      std::optional<double> scale, const MaybeTensor& seqlens) {
  using Signature =
      Pair(const Tensor&, const Tensor&, const Tensor&, std::optional<double>, const MaybeTensor&);
  static const auto op = find_operator<Signature>("attnlab::decode_attention");
  return op.call(q, k, v, scale, seqlens);
}

Gradients decode_attention_backward(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                                    const Tensor& v, const Tensor& out, const Tensor& lse,
                                    std::optional<double> scale, const MaybeTensor& seqlens) {
  using Signature =
      Gradients(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                const Tensor&, std::optional<double>, const MaybeTensor&);
  static const auto op = find_operator<Signature>("attnlab::decode_attention_backward");
  return op.call(grad_out, q, k, v, out, lse, scale, seqlens);
}

OpPlan plan_attention(const AttentionShape& shape, PlanFor target) {
  if (target.device == at::kCUDA) return cuda_device().plan_attention(shape);
  return from_kernel(cpu::plan_flash_attention(shape, target.threads));
}

OpPlan plan_attention_backward(const AttentionShape& shape, PlanFor target) {
  if (target.device == at::kCUDA) return cuda_device().plan_attention_backward(shape);
  return from_kernel(cpu::plan_flash_attention_backward(shape, target.threads));
}

OpPlan plan_decode_attention(const AttentionShape& shape, PlanFor target) {
  if (target.device == at::kCUDA) return cuda_device().plan_decode_attention(shape);
  return from_kernel(cpu::plan_decode_attention(shape, target.threads));
}

OpPlan plan_naive_attention(const AttentionShape& shape, PlanFor target) {
  return {naive_name(target), 0, weights_bytes(shape)};
}

OpPlan plan_naive_attention_backward(const AttentionShape& shape, const AttentionOptions& options,
                                     PlanFor target) {
  const std::int64_t num_matrices = options.softcap != 0 ? 2 : 1;
  return {naive_name(target), num_matrices * weights_bytes(shape), 0};
}

OpPlan plan_linear_attention(const AttentionShape& shape, bool causal, PlanFor target) {
  if (target.device == at::kCUDA) return cuda_device().plan_linear_attention(shape, causal);
  return from_kernel(cpu::plan_linear_attention(shape, causal, target.threads));
}

OpPlan plan_linear_attention_backward(const AttentionShape& shape, bool causal, PlanFor target) {
  if (target.device == at::kCUDA) {
    return cuda_device().plan_linear_attention_backward(shape, causal);
  }
  return from_kernel(cpu::plan_linear_attention_backward(shape, causal, target.threads));
}

}  // namespace attnlab::ops
