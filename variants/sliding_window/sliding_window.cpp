#include "variants/sliding_window/sliding_window.h"

#include "kernels/ops/ops.h"
#include "variants/api/cost.h"
#include "variants/api/softmax_reference.h"
#include "variants/api/support.h"

namespace attnlab {

SlidingWindowAttention::SlidingWindowAttention(const Options& options)
    : options_(options), window_(options.get_int("window")) {}

VariantInfo SlidingWindowAttention::info() const {
  return {.name = "sliding_window",
          .summary = "softmax attention over the nearest keys only; exact inside its window",
          .paper = "Beltagy et al. 2020, arXiv 2004.05150",
          .exact = true,
          .time_order = "N*window",
          .memory_order = "N",
          .extra_inputs = {alibi_slopes_input()}};
}

Support SlidingWindowAttention::do_supports(const Problem& problem) const {
  return operator_support(problem);
}

Plan SlidingWindowAttention::do_plan(const Problem& problem) const {
  return plan_tiled_attention(problem,
                              problem_mask(problem, window_, window_right(problem.causal)));
}

Outputs SlidingWindowAttention::do_forward(const Inputs& inputs) const {
  auto [out, lse] = ops::attention(inputs.q, inputs.k, inputs.v,
                                   {.scale = inputs.scale,
                                    .causal = inputs.causal,
                                    .window_left = window_,
                                    .window_right = window_right(inputs.causal),
                                    .alibi_slopes = alibi_slopes(inputs)});
  return {.out = out, .lse = lse, .weights = std::nullopt};
}

at::Tensor SlidingWindowAttention::do_reference(const Inputs& inputs,
                                                const at::Tensor& query_rows) const {
  return softmax_reference(inputs, {inputs.causal, window_, window_right(inputs.causal)},
                           query_rows);
}

at::Tensor SlidingWindowAttention::do_weights(const Inputs& inputs,
                                              const at::Tensor& query_rows) const {
  return softmax_weights(inputs, {inputs.causal, window_, window_right(inputs.causal)}, query_rows);
}

void register_sliding_window(Registry& registry) {
  registry.add(
      {.name = "sliding_window",
       .option_specs = {{.name = "window",
                         .default_value = std::int64_t{256},
                         .help = "keys to the left besides the query's own one, and to the "
                                 "right where not causal",
                         .min = 0,
                         .max = 1e12}},
       .factory =
           [](const Options& options) { return std::make_unique<SlidingWindowAttention>(options); },
       .origin = "built-in"});
}

}  // namespace attnlab
