// CUDA kernels of attention: check, plan, allocate, run. Asynchronous on the current stream.

#include "kernels/ops/cuda_attention.h"

#include <limits>
#include <optional>
#include <tuple>

#include "kernels/cuda/flash_attention.h"
#include "kernels/ops/checks.h"
#include "kernels/ops/outputs.h"
#include "kernels/ops/tensors.h"
#include "kernels/ops/torch_pch.h"

namespace attnlab::ops {

using at::Tensor;

std::tuple<Tensor, Tensor> run_cuda_forward(const CudaCall& call, const CudaForwardKernel& kernel,
                                            const Tensor& q, const Tensor& k, const Tensor& v,
                                            const AttentionShape& shape,
                                            const CudaAttentionRules& rules) {
  Tensor out = empty_out(q, v);
  Tensor lse = empty_lse(q);
  if (is_empty(shape)) {
    out.zero_();
    lse.fill_(-std::numeric_limits<double>::infinity());
    return {out, lse};
  }
  const Tensor q_rows = with_contiguous_rows(q);
  const Tensor k_rows = with_contiguous_rows(k);
  const Tensor v_rows = with_contiguous_rows(v);
  const AttentionArgs args{.shape = shape,
                           .mask = rules.mask,
                           .score = rules.score,
                           .q = input_view(q_rows),
                           .k = input_view(k_rows),
                           .v = input_view(v_rows),
                           .out = output_view(out),
                           .lse = output_view(lse)};
  const KernelPlan plan = kernel.plan(args, call.model());
  const Tensor workspace = call.workspace(plan);
  kernel.run(args, plan, bytes_of(workspace), call.model(), call.stream());
  return {out, lse};
}

Gradients run_cuda_backward(const CudaCall& call, const Tensor& grad_out, const Tensor& q,
                            const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& lse,
                            const AttentionShape& shape, const CudaAttentionRules& rules) {
  auto [grad_q, grad_k, grad_v] = empty_gradients(q, k, v);
  if (is_empty(shape)) {
    return {grad_q.zero_(), grad_k.zero_(), grad_v.zero_()};
  }
  const Tensor q_rows = with_contiguous_rows(q);
  const Tensor k_rows = with_contiguous_rows(k);
  const Tensor v_rows = with_contiguous_rows(v);
  const Tensor out_rows = with_contiguous_rows(out);
  const Tensor grad_out_rows = with_contiguous_rows(grad_out);
  const AttentionBackwardArgs args{.shape = shape,
                                   .mask = rules.mask,
                                   .score = rules.score,
                                   .q = input_view(q_rows),
                                   .k = input_view(k_rows),
                                   .v = input_view(v_rows),
                                   .out = input_view(out_rows),
                                   .lse = input_view(lse),
                                   .grad_out = input_view(grad_out_rows),
                                   .grad_q = output_view(grad_q),
                                   .grad_k = output_view(grad_k),
                                   .grad_v = output_view(grad_v)};
  const KernelPlan plan = cuda::plan_flash_attention_backward(args, call.model());
  const Tensor workspace = call.workspace(plan);
  cuda::flash_attention_backward(args, plan, bytes_of(workspace), call.model(), call.stream());
  return {grad_q, grad_k, grad_v};
}

namespace {

KernelPlan plan_flash(const AttentionArgs& args, const cuda::DeviceModel& device) {
  return cuda::plan_flash_attention(args, device);
}

std::tuple<Tensor, Tensor> attention_cuda(const Tensor& q, const Tensor& k, const Tensor& v,
                                          std::optional<double> scale, bool causal,
                                          std::int64_t window_left, std::int64_t window_right,
                                          double softcap,
                                          const std::optional<Tensor>& alibi_slopes) {
  const AttentionOptions options{scale, causal, window_left, window_right, softcap, alibi_slopes};
  check_attention("attention", q, k, v, options);
  const CudaCall call(q);
  const AttentionShape shape = shape_of(q, k, v);
  return run_cuda_forward(call, {plan_flash, cuda::flash_attention}, q, k, v, shape,
                          {mask_of(options), score_of(options, shape)});
}

Gradients attention_backward_cuda(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                                  const Tensor& v, const Tensor& out, const Tensor& lse,
                                  std::optional<double> scale, bool causal,
                                  std::int64_t window_left, std::int64_t window_right,
                                  double softcap, const std::optional<Tensor>& alibi_slopes) {
  constexpr const char* kOp = "attention_backward";
  const AttentionOptions options{scale, causal, window_left, window_right, softcap, alibi_slopes};
  check_attention(kOp, q, k, v, options);
  check_out_like(kOp, "grad_out", grad_out, q, v);
  check_out_like(kOp, "out", out, q, v);
  check_lse_like(kOp, lse, q);
  const CudaCall call(q);
  const AttentionShape shape = shape_of(q, k, v);
  return run_cuda_backward(call, grad_out, q, k, v, out, lse, shape,
                           {mask_of(options), score_of(options, shape)});
}

}  // namespace

TORCH_LIBRARY_IMPL(attnlab, CUDA, m) {
  m.impl("attention", &attention_cuda);
  m.impl("attention_backward", &attention_backward_cuda);
}

}  // namespace attnlab::ops
