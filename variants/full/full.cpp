#include "variants/full/full.h"

#include "kernels/ops/ops.h"
#include "variants/api/cost.h"
#include "variants/api/softmax_reference.h"
#include "variants/api/support.h"

namespace attnlab {

VariantInfo FullAttention::info() const {
  return {.name = "full",
          .summary = "softmax attention with stored scores; returns the weights",
          .paper = "Vaswani et al. 2017, arXiv 1706.03762",
          .exact = true,
          .time_order = "N^2",
          .memory_order = "N^2"};
}

Support FullAttention::do_supports(const Problem& problem) const {
  return operator_support(problem);
}

Plan FullAttention::do_plan(const Problem& problem) const {
  const AttentionShape shape = attention_shape(problem);
  const ops::OpPlan forward = ops::plan_naive_attention(shape, {problem.threads, problem.device});
  Plan plan;
  plan.kernel_name = forward.kernel_name;
  // Every score is computed, also those that the mask removes; credited are the visible pairs.
  plan.flops = softmax_attention_flops(problem, problem_mask(problem));
  count_tensors(problem, 0, plan);
  const std::int64_t weights_bytes =
      shape.batch * shape.heads * shape.seqlen_q * shape.seqlen_k * element_size(shape.dtype);
  if (problem.with_backward()) {
    plan.saved_bytes = weights_bytes;
    plan.workspace_bytes = ops::plan_naive_attention_backward(shape, {.causal = problem.causal},
                                                              {problem.threads, problem.device})
                               .workspace_bytes;
  } else {
    plan.workspace_bytes = weights_bytes + forward.workspace_bytes;
  }
  return plan;
}

Outputs FullAttention::do_forward(const Inputs& inputs) const {
  auto [out, weights] = ops::naive_attention(inputs.q, inputs.k, inputs.v,
                                             {.scale = inputs.scale, .causal = inputs.causal});
  return {.out = out, .lse = std::nullopt, .weights = weights};
}

at::Tensor FullAttention::do_reference(const Inputs& inputs, const at::Tensor& query_rows) const {
  return softmax_reference(inputs, {.causal = inputs.causal}, query_rows);
}

at::Tensor FullAttention::do_weights(const Inputs& inputs, const at::Tensor& query_rows) const {
  return softmax_weights(inputs, {.causal = inputs.causal}, query_rows);
}

void register_full(Registry& registry) {
  registry.add({.name = "full",
                .option_specs = {},
                .factory = [](const Options&) { return std::make_unique<FullAttention>(); },
                .origin = "built-in"});
}

}  // namespace attnlab
