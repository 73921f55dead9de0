#include "variants/full/additive.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/matmul.h>

#include <limits>

#include "variants/api/cost.h"
#include "variants/api/softmax_reference.h"
#include "variants/full/scores.h"

namespace attnlab {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// weights * v. 0 * NaN must not reach a query that may not see it, and NaN reaches every query
/// that may. Neither is a matrix product left to keep NaN in its row: in bfloat16 oneDNN's does
/// not.
at::Tensor weighted_sum(const at::Tensor& weights, const at::Tensor& v, const at::Tensor& visible) {
  const at::Tensor bad_values = at::isfinite(v).logical_not();
  const at::Tensor bad_rows = at::isfinite(weights).logical_not().any(-1, /*keepdim=*/true);
  if (!bad_values.any().logical_or(bad_rows.any()).item<bool>()) return at::matmul(weights, v);
  const at::Tensor reached =
      at::matmul(visible.to(v.scalar_type()), bad_values.to(v.scalar_type())) > 0;
  return at::matmul(weights.masked_fill(bad_rows, 0.0), v.masked_fill(bad_values, 0.0))
      .masked_fill(reached.logical_or(bad_rows), kNan);
}

}  // namespace

Outputs additive_attention(const Inputs& inputs) {
  const std::int64_t heads = inputs.q.size(1);
  const ReferenceMask mask{.causal = inputs.causal};
  Inputs finite = inputs;
  // Through tanh the gradient of a masked NaN would be 0 * NaN, and be added to every query.
  const at::Tensor bad_keys = at::isfinite(inputs.k).all(-1).logical_not();
  finite.k = inputs.k.masked_fill(bad_keys.unsqueeze(-1), 0.0);
  const at::Tensor bad = repeat_kv_heads(bad_keys, heads).unsqueeze(2);
  const at::Tensor scores = score_formula(Score::kAdditive, finite, {}).masked_fill(bad, kNan);
  const at::Tensor weights = masked_softmax(scores, inputs, mask, {});
  const at::Tensor visible =
      visible_pairs(inputs.q.size(2), inputs.k.size(2), mask, {}, inputs.q.device());
  return {.out = weighted_sum(weights, repeat_kv_heads(inputs.v, heads), visible),
          .lse = std::nullopt,
          .weights = weights};
}

Plan plan_additive_attention(const Problem& p) {
  Plan plan;
  plan.kernel_name = "additive_attention_torch_ops";
  const Mask mask = problem_mask(p);
  // A pair and element: a sum, a tanh, a product and its sum; then the weighted values.
  plan.flops = static_cast<double>(p.batch * p.heads) * static_cast<double>(mask.visible_pairs()) *
               static_cast<double>(4 * p.head_dim + 2 * p.head_dim_v) *
               direction_factor(p.direction);
  count_tensors(p, 0, plan);
  // What there is of size pairs * head_dim; the rest is a head_dim-th of it or less.
  const std::int64_t elements = p.batch * p.heads * p.seqlen_q * p.seqlen_k * p.head_dim *
                                static_cast<std::int64_t>(c10::elementSize(p.dtype));
  plan.saved_bytes = p.with_backward() ? elements : 0;
  plan.workspace_bytes = 2 * elements;
  return plan;
}

}  // namespace attnlab
