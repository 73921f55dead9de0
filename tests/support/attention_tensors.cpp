#include "tests/support/attention_tensors.h"

#include <cmath>
#include <sstream>

#include "tests/support/tolerance.h"

namespace attnlab::testing {

namespace {

DType lse_dtype(DType dtype) { return dtype == DType::kFloat64 ? dtype : DType::kFloat32; }

}  // namespace

AttentionTensors::AttentionTensors(const AttentionShape& s, const MaskOptions& m, Layout layout)
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

void AttentionTensors::use_alibi() {
  for (std::int64_t i = 0; i < shape.batch * shape.heads; ++i) {
    slopes.push_back(0.5f / static_cast<float>(i + 1));
  }
  score.alibi_slopes = slopes.data();
  score.alibi_batch_stride = shape.heads;
  score.alibi_head_stride = 1;
}

void AttentionTensors::use_seqlens(std::vector<std::int64_t> lengths) {
  seqlens = std::move(lengths);
  mask.seqlens_k = seqlens.data();
}

AttentionArgs AttentionTensors::forward_args() const {
  return {shape, mask, score, q.view(), k.view(), v.view(), out.view(), lse.view()};
}

AttentionBackwardArgs AttentionTensors::backward_args() const {
  return {shape,      mask,       score,           q.view(),      k.view(),      v.view(),
          out.view(), lse.view(), grad_out.view(), grad_q.view(), grad_k.view(), grad_v.view()};
}

void AttentionTensors::poison_outputs() {
  out.poison();
  lse.poison();
}

void AttentionTensors::poison_gradients() {
  grad_q.poison();
  grad_k.poison();
  grad_v.poison();
}

void AttentionTensors::compare_forward() const {
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

void AttentionTensors::compare_backward() const {
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

std::string AttentionTensors::describe() const {
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
