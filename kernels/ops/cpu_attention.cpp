// CPU kernels of attention: check, plan, allocate, run.

#include "kernels/ops/cpu_attention.h"

#include <limits>
#include <optional>
#include <tuple>

#include "kernels/cpu/flash_attention.h"
#include "kernels/ops/checks.h"
#include "kernels/ops/outputs.h"
#include "kernels/ops/tensors.h"
#include "kernels/ops/torch_parallel.h"
#include "kernels/ops/torch_pch.h"

namespace attnlab::ops {

using at::Tensor;

std::tuple<Tensor, Tensor> run_forward(const ForwardKernel& kernel, const Tensor& q,
                                       const Tensor& k, const Tensor& v,
                                       const AttentionShape& shape, const AttentionRules& rules) {
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
  const KernelPlan plan = kernel.plan(shape, num_threads());
  const Tensor workspace = empty_workspace(plan);
  kernel.run(args, plan, bytes_of(workspace), torch_parallel());
  return {out, lse};
}

Gradients run_flash_backward(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                             const Tensor& v, const Tensor& out, const Tensor& lse,
                             const AttentionShape& shape, const AttentionRules& rules) {
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
  const KernelPlan plan = cpu::plan_flash_attention_backward(shape, num_threads());
  const Tensor workspace = empty_workspace(plan);
  cpu::flash_attention_backward(args, plan, bytes_of(workspace), torch_parallel());
  return {grad_q, grad_k, grad_v};
}

namespace {

std::tuple<Tensor, Tensor> attention_cpu(const Tensor& q, const Tensor& k, const Tensor& v,
                                         std::optional<double> scale, bool causal,
                                         std::int64_t window_left, std::int64_t window_right,
                                         double softcap,
                                         const std::optional<Tensor>& alibi_slopes) {
  const AttentionOptions options{scale, causal, window_left, window_right, softcap, alibi_slopes};
  check_attention("attention", q, k, v, options);
  const AttentionShape shape = shape_of(q, k, v);
  return run_forward({cpu::plan_flash_attention, cpu::flash_attention}, q, k, v, shape,
                     {mask_of(options), score_of(options, shape)});
}

Gradients attention_backward_cpu(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                                 const Tensor& v, const Tensor& out, const Tensor& lse,
                                 std::optional<double> scale, bool causal, std::int64_t window_left,
                                 std::int64_t window_right, double softcap,
                                 const std::optional<Tensor>& alibi_slopes) {
  constexpr const char* kOp = "attention_backward";
  const AttentionOptions options{scale, causal, window_left, window_right, softcap, alibi_slopes};
  check_attention(kOp, q, k, v, options);
  check_out_like(kOp, "grad_out", grad_out, q, v);
  check_out_like(kOp, "out", out, q, v);
  check_lse_like(kOp, lse, q);
  const AttentionShape shape = shape_of(q, k, v);
  return run_flash_backward(grad_out, q, k, v, out, lse, shape,
                            {mask_of(options), score_of(options, shape)});
}

}  // namespace

TORCH_LIBRARY_IMPL(attnlab, CPU, m) {
  m.impl("attention", &attention_cpu);
  m.impl("attention_backward", &attention_backward_cpu);
}

}  // namespace attnlab::ops
