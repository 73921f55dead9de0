// CUDA kernels of naive_attention: softmax attention with the matrix of weights stored.
//
// Memory beyond inputs and small outputs as on the CPU: one N x N tensor in forward (the weights),
// one more in backward, and with a soft-cap another one. Library products multiply masked weights,
// which are 0, with rows that may hold NaN or Inf: where an operand is not finite, the element-wise
// sums of kernels/cuda/naive take their place. Finding out waits for the device once per call.

#include <ATen/ops/empty_like.h>

#include <optional>
#include <tuple>

#include "kernels/cuda/naive/naive_attention.h"
#include "kernels/ops/checks.h"
#include "kernels/ops/cuda_call.h"
#include "kernels/ops/cuda_matrix_products.h"
#include "kernels/ops/outputs.h"
#include "kernels/ops/tensors.h"
#include "kernels/ops/torch_pch.h"

namespace attnlab::ops {
namespace {

using at::Tensor;

struct Call {
  CudaCall cuda;
  AttentionShape shape;
  MaskOptions mask;
  ScoreOptions score;

  Call(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& options)
      : cuda(q),
        shape(shape_of(q, k, v)),
        mask(mask_of(options)),
        score(score_of(options, shape)) {}
};

/// query_rows = coeff * key_rows over visible pairs; coeff is 0 elsewhere. `finite`: key_rows are.
void weighted_sum(const Call& call, bool finite, const Tensor& coeff, const Tensor& key_rows,
                  const Tensor& query_rows) {
  if (finite) {
    cuda_product_to_query_rows(coeff, key_rows, query_rows);
  } else {
    cuda::masked_weighted_sum(call.shape, call.mask, input_view(coeff), input_view(key_rows),
                              output_view(query_rows), call.cuda.stream());
  }
}

/// key_rows = coeff^T * query_rows over visible pairs; coeff is 0 elsewhere. `finite`: query_rows
/// are.
void weighted_sum_transposed(const Call& call, bool finite, const Tensor& coeff,
                             const Tensor& query_rows, const Tensor& key_rows) {
  if (finite) {
    cuda_product_to_key_rows(coeff, query_rows, key_rows);
  } else {
    cuda::masked_weighted_sum_transposed(call.shape, call.mask, input_view(coeff),
                                         input_view(query_rows), output_view(key_rows),
                                         call.cuda.stream());
  }
}

std::tuple<Tensor, Tensor> naive_attention_cuda(const Tensor& q_in, const Tensor& k_in,
                                                const Tensor& v_in, std::optional<double> scale,
                                                bool causal, std::int64_t window_left,
                                                std::int64_t window_right, double softcap,
                                                const std::optional<Tensor>& alibi_slopes) {
  const AttentionOptions options{scale, causal, window_left, window_right, softcap, alibi_slopes};
  check_attention("naive_attention", q_in, k_in, v_in, options);
  const Call call(q_in, k_in, v_in, options);
  Tensor out = empty_out(q_in, v_in);
  Tensor weights = empty_weights(q_in, k_in);
  if (is_empty(call.shape)) return {out.zero_(), weights.zero_()};

  const Tensor q = with_contiguous_rows(q_in);
  const Tensor k = with_contiguous_rows(k_in);
  const Tensor v = with_contiguous_rows(v_in);
  const bool finite = all_finite_on_device({v});
  cuda_product_to_scores(q, k, weights);
  cuda::softmax_rows(call.shape, call.mask, call.score, output_view(weights), call.cuda.stream());
  weighted_sum(call, finite, weights, v, out);
  return {out, weights};
}

/// The gradient of the weights, `[batch, heads, seqlen_q, seqlen_k]`, in a tensor of its own.
Tensor gradient_of_weights(const std::optional<Tensor>& grad_out,
                           const std::optional<Tensor>& grad_weights, const Tensor& v,
                           const Tensor& weights) {
  Tensor result = at::empty_like(weights, at::MemoryFormat::Contiguous);
  if (grad_out) {
    cuda_product_to_scores(*grad_out, v, result);
    if (grad_weights) result.add_(*grad_weights);
  } else if (grad_weights) {
    result.copy_(*grad_weights);
  } else {
    result.zero_();
  }
  return result;
}

std::tuple<Tensor, Tensor, Tensor> naive_attention_backward_cuda(
    const std::optional<Tensor>& grad_out_in, const std::optional<Tensor>& grad_weights,
    const Tensor& q_in, const Tensor& k_in, const Tensor& v_in, const Tensor& weights_in,
    std::optional<double> scale, bool causal, std::int64_t window_left, std::int64_t window_right,
    double softcap, const std::optional<Tensor>& alibi_slopes) {
  constexpr const char* kOp = "naive_attention_backward";
  const AttentionOptions options{scale, causal, window_left, window_right, softcap, alibi_slopes};
  check_attention(kOp, q_in, k_in, v_in, options);
  if (grad_out_in) check_out_like(kOp, "grad_out", *grad_out_in, q_in, v_in);
  if (grad_weights) check_weights_like(kOp, "grad_weights", *grad_weights, q_in, k_in);
  check_weights_like(kOp, "weights", weights_in, q_in, k_in);
  const Call call(q_in, k_in, v_in, options);
  auto [grad_q, grad_k, grad_v] = empty_gradients(q_in, k_in, v_in);
  if (is_empty(call.shape)) return {grad_q.zero_(), grad_k.zero_(), grad_v.zero_()};

  const Tensor q = with_contiguous_rows(q_in);
  const Tensor k = with_contiguous_rows(k_in);
  const Tensor v = with_contiguous_rows(v_in);
  const Tensor weights = weights_in.contiguous();
  std::optional<Tensor> grad_out;
  if (grad_out_in) grad_out = with_contiguous_rows(*grad_out_in);
  const bool finite = all_finite_on_device(grad_out ? std::vector<Tensor>{q, k, *grad_out}
                                                    : std::vector<Tensor>{q, k});

  if (grad_out) {
    weighted_sum_transposed(call, finite, weights, *grad_out, grad_v);
  } else {
    grad_v.zero_();
  }
  const Tensor grad_dots = gradient_of_weights(grad_out, grad_weights, v, weights);
  Tensor dots;
  if (softcap != 0) {
    dots = at::empty_like(weights, at::MemoryFormat::Contiguous);
    cuda_product_to_scores(q, k, dots);
  }
  cuda::softmax_rows_backward(call.shape, call.mask, call.score, input_view(weights),
                              dots.defined() ? input_view(dots) : TensorView{},
                              output_view(grad_dots), call.cuda.stream());
  weighted_sum(call, finite, grad_dots, k, grad_q);
  weighted_sum_transposed(call, finite, grad_dots, q, grad_k);
  return {grad_q, grad_k, grad_v};
}

}  // namespace

TORCH_LIBRARY_IMPL(attnlab, CUDA, m) {
  m.impl("naive_attention", &naive_attention_cuda);
  m.impl("naive_attention_backward", &naive_attention_backward_cuda);
}

}  // namespace attnlab::ops
