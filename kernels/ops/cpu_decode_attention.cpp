// CPU kernels of decode_attention: check, plan, allocate, run. Forward has a kernel of its own,
// which reads the cache once; gradients are those of attention with a causal mask.

#include <optional>
#include <tuple>
#include <vector>

#include "kernels/cpu/decode_attention.h"
#include "kernels/ops/checks.h"
#include "kernels/ops/cpu_attention.h"
#include "kernels/ops/tensors.h"
#include "kernels/ops/torch_pch.h"

namespace attnlab::ops {
namespace {

using at::Tensor;

/// The rules of decoding; `lengths` receives the values of seqlens and must outlive the result.
AttentionRules decode_rules(const char* op, const AttentionShape& shape,
                            std::optional<double> scale, const std::optional<Tensor>& seqlens,
                            std::vector<std::int64_t>& lengths) {
  AttentionRules rules{.mask = {.causal = true},
                       .score = {.scale = scale_or_default(scale, shape)}};
  if (seqlens) {
    lengths = checked_seqlens_values(op, *seqlens, shape.seqlen_k);
    rules.mask.seqlens_k = lengths.data();
  }
  return rules;
}

std::tuple<Tensor, Tensor> decode_attention_cpu(const Tensor& q, const Tensor& k, const Tensor& v,
                                                std::optional<double> scale,
                                                const std::optional<Tensor>& seqlens) {
  constexpr const char* kOp = "decode_attention";
  check_decode_attention(kOp, q, k, v, scale, seqlens);
  const AttentionShape shape = shape_of(q, k, v);
  std::vector<std::int64_t> lengths;
  return run_forward({cpu::plan_decode_attention, cpu::decode_attention}, q, k, v, shape,
                     decode_rules(kOp, shape, scale, seqlens, lengths));
}

Gradients decode_attention_backward_cpu(const Tensor& grad_out, const Tensor& q, const Tensor& k,
                                        const Tensor& v, const Tensor& out, const Tensor& lse,
                                        std::optional<double> scale,
                                        const std::optional<Tensor>& seqlens) {
  constexpr const char* kOp = "decode_attention_backward";
  check_decode_attention(kOp, q, k, v, scale, seqlens);
  check_out_like(kOp, "grad_out", grad_out, q, v);
  check_out_like(kOp, "out", out, q, v);
  check_lse_like(kOp, lse, q);
  const AttentionShape shape = shape_of(q, k, v);
  std::vector<std::int64_t> lengths;
  return run_flash_backward(grad_out, q, k, v, out, lse, shape,
                            decode_rules(kOp, shape, scale, seqlens, lengths));
}

}  // namespace

TORCH_LIBRARY_IMPL(attnlab, CPU, m) {
  m.impl("decode_attention", &decode_attention_cpu);
  m.impl("decode_attention_backward", &decode_attention_backward_cpu);
}

}  // namespace attnlab::ops
