#include "variants/flash/flash.h"

#include "kernels/ops/ops.h"
#include "variants/api/cost.h"
#include "variants/api/softmax_reference.h"
#include "variants/api/support.h"

namespace attnlab {

VariantInfo FlashAttention::info() const {
  return {.name = "flash",
          .summary = "softmax attention in tiles; exact, memory linear in the length",
          .paper = "Dao et al. 2022, arXiv 2205.14135; Dao 2023, arXiv 2307.08691",
          .exact = true,
          .time_order = "N^2",
          .memory_order = "N",
          .extra_inputs = {alibi_slopes_input()}};
}

Support FlashAttention::do_supports(const Problem& problem) const {
  return operator_support(problem);
}

Plan FlashAttention::do_plan(const Problem& problem) const {
  return plan_tiled_attention(problem, problem_mask(problem));
}

Outputs FlashAttention::do_forward(const Inputs& inputs) const {
  auto [out, lse] = ops::attention(
      inputs.q, inputs.k, inputs.v,
      {.scale = inputs.scale, .causal = inputs.causal, .alibi_slopes = alibi_slopes(inputs)});
  return {.out = out, .lse = lse, .weights = std::nullopt};
}

at::Tensor FlashAttention::do_reference(const Inputs& inputs, const at::Tensor& query_rows) const {
  return softmax_reference(inputs, {.causal = inputs.causal}, query_rows);
}

at::Tensor FlashAttention::do_weights(const Inputs& inputs, const at::Tensor& query_rows) const {
  return softmax_weights(inputs, {.causal = inputs.causal}, query_rows);
}

void register_flash(Registry& registry) {
  registry.add({.name = "flash",
                .option_specs = {},
                .factory = [](const Options&) { return std::make_unique<FlashAttention>(); },
                .origin = "built-in"});
}

}  // namespace attnlab
