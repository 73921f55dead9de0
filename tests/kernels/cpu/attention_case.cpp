#include "tests/kernels/cpu/attention_case.h"

#include <cmath>
#include <sstream>

#include "kernels/cpu/kernel_table.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {

namespace {

DType lse_dtype(DType dtype) { return dtype == DType::kFloat64 ? dtype : DType::kFloat32; }

}  // namespace

AttentionCase::AttentionCase(const AttentionShape& s, const MaskOptions& m, Layout layout)
    : shape(s),
      mask(m),
      q(s.batch, s.heads, s.seqlen_q, s.head_dim, s.dtype, layout),
      k(s.batch, s.kv_heads, s.seqlen_k, s.head_dim, s.dtype, layout),
      v(s.batch, s.kv_heads, s.seqlen_k, s.head_dim_v, s.dtype, layout),
      out(s.batch, s.heads, s.seqlen_q, s.head_dim_v, s.dtype, layout),
      lse(s.batch, s.heads, s.seqlen_q, 1, lse_dtype(s.dtype)),
      grad_out(s.batch, s.heads, s.seqlen_q, s.head_dim_v, s.dtype, layout),
      grad_q(s.batch, s.heads, s.seqlen_q, s.head_dim, s.dtype, layout),
      grad_k(s.batch, s.kv_heads, s.seqlen_k, s.head_dim, s.dtype, layout),
      grad_v(s.batch, s.kv_heads, s.seqlen_k, s.head_dim_v, s.dtype, layout) {
  score.scale = 1.0 / std::sqrt(static_cast<double>(s.head_dim));
  q.fill_normal(1);
  k.fill_normal(2);
  v.fill_normal(3);
  grad_out.fill_normal(4);
}

void AttentionCase::use_alibi() {
  for (std::int64_t i = 0; i < shape.batch * shape.heads; ++i) {
    slopes.push_back(0.5f / static_cast<float>(i + 1));
  }
  score.alibi_slopes = slopes.data();
  score.alibi_batch_stride = shape.heads;
  score.alibi_head_stride = 1;
}

void AttentionCase::use_seqlens(std::vector<std::int64_t> lengths) {
  seqlens = std::move(lengths);
  mask.seqlens_k = seqlens.data();
}

AttentionArgs AttentionCase::forward_args() const {
  return {shape, mask, score, q.view(), k.view(), v.view(), out.view(), lse.view()};
}

AttentionBackwardArgs AttentionCase::backward_args() const {
  return {shape,      mask,       score,           q.view(),      k.view(),      v.view(),
          out.view(), lse.view(), grad_out.view(), grad_q.view(), grad_k.view(), grad_v.view()};
}

void AttentionCase::run_forward(int workers) {
  out.poison();
  lse.poison();
  const KernelPlan plan = cpu::plan_flash_attention(shape, workers);
  Workspace workspace(plan.workspace_bytes);
  cpu::flash_attention(forward_args(), plan, workspace.span(), threads());
}

void AttentionCase::run_backward(int workers) {
  grad_q.poison();
  grad_k.poison();
  grad_v.poison();
  const KernelPlan plan = cpu::plan_flash_attention_backward(shape, workers);
  Workspace workspace(plan.workspace_bytes);
  cpu::flash_attention_backward(backward_args(), plan, workspace.span(), threads());
}

void AttentionCase::expect_forward() {
  run_forward();
  const ReferenceResult expected = reference_attention(shape, mask, score, q, k, v);
  const std::int64_t terms = shape.seqlen_k + shape.head_dim;
  EXPECT_TRUE(all_close(out.values(), expected.out,
                        tolerance(shape.dtype, magnitude_of(expected.out), terms)))
      << "out of " << describe();
  // lse has the precision of the accumulator, whatever the dtype.
  EXPECT_TRUE(all_close(lse.values(), expected.lse,
                        tolerance(lse_dtype(shape.dtype), magnitude_of(expected.lse), terms)))
      << "lse of " << describe();
}

void AttentionCase::expect_backward() {
  run_forward();
  run_backward();
  const ReferenceGradients expected =
      reference_attention_gradients(shape, mask, score, q, k, v, grad_out);
  const auto close = [&](const HostTensor& actual, const std::vector<double>& reference) {
    const std::int64_t terms = shape.seqlen_k + shape.seqlen_q + shape.head_dim;
    return all_close(
        actual.values(), reference,
        gradient_tolerance(shape.dtype, magnitude_of(reference), terms, shape.head_dim_v));
  };
  EXPECT_TRUE(close(grad_q, expected.grad_q)) << "grad_q of " << describe();
  EXPECT_TRUE(close(grad_k, expected.grad_k)) << "grad_k of " << describe();
  EXPECT_TRUE(close(grad_v, expected.grad_v)) << "grad_v of " << describe();
}

std::string AttentionCase::describe() const {
  std::ostringstream text;
  text << dtype_name(shape.dtype) << " batch " << shape.batch << " heads " << shape.heads << "/"
       << shape.kv_heads << " seqlen " << shape.seqlen_q << "/" << shape.seqlen_k << " dim "
       << shape.head_dim << "/" << shape.head_dim_v << (mask.causal ? " causal" : "") << " window "
       << mask.window_left << "," << mask.window_right << " softcap " << score.softcap
       << (score.alibi_slopes != nullptr ? " alibi" : "")
       << (mask.seqlens_k != nullptr ? " seqlens" : "");
  return text.str();
}

std::vector<MaskOptions> all_masks() {
  return {{false, -1, -1, nullptr}, {true, -1, -1, nullptr}, {true, 5, -1, nullptr},
          {false, 7, 3, nullptr},   {false, -1, 2, nullptr}, {false, 0, 0, nullptr},
          {true, 1000, 4, nullptr}};
}

}  // namespace attnlab::testing
