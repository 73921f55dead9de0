// CUDA kernels of linear_attention. The check of log_decay waits for the device once; without
// log_decay nothing waits.

#include <ATen/ops/amax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>

#include <tuple>

#include "kernels/cuda/linear/linear_attention.h"
#include "kernels/ops/checks.h"
#include "kernels/ops/cuda_call.h"
#include "kernels/ops/outputs.h"
#include "kernels/ops/tensors.h"
#include "kernels/ops/torch_pch.h"

namespace attnlab::ops {
namespace {

using at::Tensor;

/// The largest value decides on the device (NaN passes through amax); only a wrong tensor is copied
/// to be searched for the first wrong element.
void check_decay(const std::optional<Tensor>& log_decay) {
  if (!log_decay || log_decay->numel() == 0) return;
  if (!(at::amax(*log_decay).item<float>() <= 0)) check_log_decay_values(log_decay->cpu());
}

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

Tensor linear_attention_cuda(const Tensor& q, const Tensor& k, const Tensor& v,
                             c10::string_view feature_map, bool causal,
                             const std::optional<Tensor>& log_decay, bool normalize) {
  const LinearAttentionOptions options{std::string(feature_map), causal, log_decay, normalize};
  check_linear_attention(q, k, v, options);
  const CudaCall call(q);
  check_decay(log_decay);
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
  const KernelPlan plan = cuda::plan_linear_attention(shape, causal, call.model());
  const Tensor workspace = call.workspace(plan);
  cuda::linear_attention(args, plan, bytes_of(workspace), call.model(), call.stream());
  return out;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> linear_attention_backward_cuda(
    const Tensor& grad_out, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
    c10::string_view feature_map, bool causal, const std::optional<Tensor>& log_decay,
    bool normalize) {
  constexpr const char* kOp = "linear_attention_backward";
  const LinearAttentionOptions options{std::string(feature_map), causal, log_decay, normalize};
  check_linear_attention(q, k, v, options);
  check_out_like(kOp, "grad_out", grad_out, q, v);
  check_out_like(kOp, "out", out, q, v);
  const CudaCall call(q);
  check_decay(log_decay);
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
  const KernelPlan plan = cuda::plan_linear_attention_backward(shape, causal, call.model());
  const Tensor workspace = call.workspace(plan);
  cuda::linear_attention_backward(args, plan, bytes_of(workspace), call.model(), call.stream());
  if (per_head) {
    // One batch item at a time: the order of summation does not depend on the batch.
    for (std::int64_t b = 0; b < shape.batch; ++b) {
      Tensor sums = grad_log_decay.select(0, b);
      at::sum_out(sums, grad_per_token.select(0, b), /*dim=*/at::IntArrayRef{1});
    }
  }
  return {grad_q, grad_k, grad_v, grad_log_decay};
}

}  // namespace

TORCH_LIBRARY_IMPL(attnlab, CUDA, m) {
  m.impl("linear_attention", &linear_attention_cuda);
  m.impl("linear_attention_backward", &linear_attention_backward_cuda);
}

}  // namespace attnlab::ops
