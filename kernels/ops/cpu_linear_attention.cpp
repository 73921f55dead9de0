// CPU kernels of linear_attention.

#include <ATen/ops/empty.h>

#include <tuple>

#include "kernels/cpu/linear_attention.h"
#include "kernels/ops/checks.h"
#include "kernels/ops/outputs.h"
#include "kernels/ops/tensors.h"
#include "kernels/ops/torch_parallel.h"
#include "kernels/ops/torch_pch.h"

namespace attnlab::ops {
namespace {

using at::Tensor;

/// `options.log_decay` must outlive the result, which points into it.
LinearOptions kernel_options(const LinearAttentionOptions& options) {
  LinearOptions result{.feature_map = parse_feature_map(options.feature_map),
                       .causal = options.causal,
                       .normalize = options.normalize};
  if (options.log_decay) {
    const Tensor& decay = *options.log_decay;
    result.log_decay = decay.const_data_ptr<float>();
    result.decay_batch_stride = decay.stride(0);
    result.decay_head_stride = decay.stride(1);
    result.decay_token_stride = decay.dim() == 3 ? decay.stride(2) : 0;
  }
  return result;
}

Tensor linear_attention_cpu(const Tensor& q, const Tensor& k, const Tensor& v,
                            c10::string_view feature_map, bool causal,
                            const std::optional<Tensor>& log_decay, bool normalize) {
  const LinearAttentionOptions options{std::string(feature_map), causal, log_decay, normalize};
  check_linear_attention(q, k, v, options);
  if (log_decay) check_log_decay_values(*log_decay);
  const AttentionShape shape = shape_of(q, k, v);
  Tensor out = empty_out(q, v);
  if (is_empty(shape)) return out.zero_();

  const Tensor q_rows = with_contiguous_rows(q);
  const Tensor k_rows = with_contiguous_rows(k);
  const Tensor v_rows = with_contiguous_rows(v);
  const LinearAttentionArgs args{.shape = shape,
                                 .options = kernel_options(options),
                                 .q = input_view(q_rows),
                                 .k = input_view(k_rows),
                                 .v = input_view(v_rows),
                                 .out = output_view(out)};
  const KernelPlan plan = cpu::plan_linear_attention(shape, causal, num_threads());
  const Tensor workspace = empty_workspace(plan);
  cpu::linear_attention(args, plan, bytes_of(workspace), torch_parallel());
  return out;
}

/// Sums `[batch, heads, seqlen]` over the last dimension in one fixed order (a library sum may
/// split it by the number of threads).
void sum_tokens(const Tensor& per_token, const Tensor& sums) {
  const float* from = per_token.const_data_ptr<float>();
  float* to = sums.mutable_data_ptr<float>();
  const std::int64_t seqlen = per_token.size(2);
  for (std::int64_t row = 0; row < sums.numel(); ++row) {
    double sum = 0;
    for (std::int64_t s = 0; s < seqlen; ++s) sum += from[row * seqlen + s];
    to[row] = static_cast<float>(sum);
  }
}

std::tuple<Tensor, Tensor, Tensor, Tensor> linear_attention_backward_cpu(
    const Tensor& grad_out, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
    c10::string_view feature_map, bool causal, const std::optional<Tensor>& log_decay,
    bool normalize) {
  constexpr const char* kOp = "linear_attention_backward";
  const LinearAttentionOptions options{std::string(feature_map), causal, log_decay, normalize};
  check_linear_attention(q, k, v, options);
  if (log_decay) check_log_decay_values(*log_decay);
  check_out_like(kOp, "grad_out", grad_out, q, v);
  check_out_like(kOp, "out", out, q, v);
  const AttentionShape shape = shape_of(q, k, v);
  auto [grad_q, grad_k, grad_v] = empty_gradients(q, k, v);
  Tensor grad_log_decay = empty_grad_log_decay(q, log_decay);
  if (is_empty(shape)) {
    return {grad_q.zero_(), grad_k.zero_(), grad_v.zero_(), grad_log_decay.zero_()};
  }

  const bool per_head = log_decay && log_decay->dim() == 2;
  const Tensor grad_per_token =
      per_head ? at::empty({shape.batch, shape.heads, shape.seqlen_q}, grad_log_decay.options())
               : grad_log_decay;
  const Tensor q_rows = with_contiguous_rows(q);
  const Tensor k_rows = with_contiguous_rows(k);
  const Tensor v_rows = with_contiguous_rows(v);
  const Tensor out_rows = with_contiguous_rows(out);
  const Tensor grad_out_rows = with_contiguous_rows(grad_out);
  const LinearAttentionBackwardArgs args{
      .shape = shape,
      .options = kernel_options(options),
      .q = input_view(q_rows),
      .k = input_view(k_rows),
      .v = input_view(v_rows),
      .out = input_view(out_rows),
      .grad_out = input_view(grad_out_rows),
      .grad_q = output_view(grad_q),
      .grad_k = output_view(grad_k),
      .grad_v = output_view(grad_v),
      .grad_log_decay = log_decay ? output_view(grad_per_token) : TensorView{}};
  const KernelPlan plan = cpu::plan_linear_attention_backward(shape, causal, num_threads());
  const Tensor workspace = empty_workspace(plan);
  cpu::linear_attention_backward(args, plan, bytes_of(workspace), torch_parallel());
  if (per_head) sum_tokens(grad_per_token, grad_log_decay);
  return {grad_q, grad_k, grad_v, grad_log_decay};
}

}  // namespace

TORCH_LIBRARY_IMPL(attnlab, CPU, m) {
  m.impl("linear_attention", &linear_attention_cpu);
  m.impl("linear_attention_backward", &linear_attention_backward_cpu);
}

}  // namespace attnlab::ops
