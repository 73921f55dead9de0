// CUDA kernels of decode_attention: check, plan, allocate, run. Forward has a kernel of its own,
// which reads the cache once; gradients are those of attention with a causal mask. The check of
// seqlens waits for the device once; without seqlens nothing waits.

#include <optional>
#include <tuple>

#include "kernels/cuda/decode/decode_attention.h"
#include "kernels/ops/checks.h"
#include "kernels/ops/cuda_attention.h"
#include "kernels/ops/tensors.h"
#include "kernels/ops/torch_pch.h"

namespace attnlab::ops {
namespace {

using at::Tensor;

KernelPlan plan_decode(const AttentionArgs& args, const cuda::DeviceModel& device) {
  return cuda::plan_decode_attention(args.shape, device);
}

/// The rules of decoding; `lengths` receives seqlens as int64 on the device and must outlive the
/// result.
CudaAttentionRules decode_rules(const char* op, const AttentionShape& shape,
                                std::optional<double> scale, const std::optional<Tensor>& seqlens,
                                Tensor& lengths) {
  CudaAttentionRules rules{.mask = {.causal = true},
                           .score = {.scale = scale_or_default(scale, shape)}};
  if (seqlens) {
    checked_seqlens_values(op, seqlens->cpu(), shape.seqlen_k);
    lengths = seqlens->to(at::kLong).contiguous();
    rules.mask.seqlens_k = lengths.const_data_ptr<std::int64_t>();
  }
  return rules;
}

std::tuple<Tensor, Tensor> decode_attention_cuda(const Tensor& q, const Tensor& k, const Tensor& v,
                                                 std::optional<double> scale,
                                                 const std::optional<Tensor>& seqlens) {
  constexpr const char* kOp = "decode_attention";
  check_decode_attention(kOp, q, k, v, scale, seqlens);
  const CudaCall call(q);
  const AttentionShape shape = shape_of(q, k, v);
  Tensor lengths;
  return run_cuda_forward(call, {plan_decode, cuda::decode_attention}, q, k, v, shape,
                          decode_rules(kOp, shape, scale, seqlens, lengths));
}

Gradients decode_attention_backward_cuda(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                                         const Tensor& v, const Tensor& out, const Tensor& lse,
                                         std::optional<double> scale,
                                         const std::optional<Tensor>& seqlens) {
  constexpr const char* kOp = "decode_attention_backward";
  check_decode_attention(kOp, q, k, v, scale, seqlens);
  check_out_like(kOp, "grad_out", grad_out, q, v);
  check_out_like(kOp, "out", out, q, v);
  check_lse_like(kOp, lse, q);
  const CudaCall call(q);
  const AttentionShape shape = shape_of(q, k, v);
  Tensor lengths;
  return run_cuda_backward(call, grad_out, q, k, v, out, lse, shape,
                           decode_rules(kOp, shape, scale, seqlens, lengths));
}

}  // namespace

TORCH_LIBRARY_IMPL(attnlab, CUDA, m) {
  m.impl("decode_attention", &decode_attention_cuda);
  m.impl("decode_attention_backward", &decode_attention_backward_cuda);
}

}  // namespace attnlab::ops
