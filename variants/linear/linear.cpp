#include "variants/linear/linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/elu.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>

#include "kernels/ops/ops.h"
#include "variants/api/cost.h"
#include "variants/api/softmax_reference.h"
#include "variants/api/support.h"

namespace attnlab {
namespace {

at::Tensor apply_feature_map(const std::string& name, const at::Tensor& x) {
  if (name == "elu") return at::elu(x) + 1;
  if (name == "relu") return at::relu(x);
  return x;
}

}  // namespace

LinearAttention::LinearAttention(const Options& options)
    : options_(options),
      feature_map_(options.get_string("feature_map")),
      normalize_(options.get_bool("normalize")) {}

VariantInfo LinearAttention::info() const {
  return {.name = "linear",
          .summary = "feature maps instead of the softmax; state of fixed size",
          .paper = "Katharopoulos et al. 2020, arXiv 2006.16236",
          .exact = false,
          .time_order = "N",
          .memory_order = "1"};
}

Support LinearAttention::do_supports(const Problem& problem) const {
  const Support support = operator_support(problem);
  if (support.ok && problem.causal && problem.seqlen_q != problem.seqlen_k) {
    return Support::no(fmt::format(
        "causal linear attention needs seqlen_q == seqlen_k (got {} and {}); set causal=false or "
        "equal lengths",
        problem.seqlen_q, problem.seqlen_k));
  }
  return support;
}

Plan LinearAttention::do_plan(const Problem& problem) const {
  const AttentionShape shape = attention_shape(problem);
  const ops::OpPlan forward =
      ops::plan_linear_attention(shape, problem.causal, {problem.threads, problem.device});
  Plan plan;
  plan.kernel_name = forward.kernel_name;
  // The recurrence's own count: a state update and a state read per token.
  plan.flops = 2.0 * static_cast<double>(problem.batch * problem.heads) *
               static_cast<double>(problem.seqlen_q + problem.seqlen_k) *
               static_cast<double>(problem.head_dim * problem.head_dim_v) *
               direction_factor(problem.direction);
  count_tensors(problem, 0, plan);
  plan.workspace_bytes = forward.workspace_bytes;
  if (problem.with_backward()) {
    const ops::OpPlan backward = ops::plan_linear_attention_backward(
        shape, problem.causal, {problem.threads, problem.device});
    plan.saved_bytes = forward.saved_bytes;
    const std::int64_t gradients = problem.q_bytes() + problem.k_bytes() + problem.v_bytes();
    plan.workspace_bytes = std::max(backward.workspace_bytes, forward.workspace_bytes - gradients);
  }
  return plan;
}

Outputs LinearAttention::do_forward(const Inputs& inputs) const {
  return {.out = ops::linear_attention(inputs.q, inputs.k, inputs.v,
                                       {.feature_map = feature_map_,
                                        .causal = inputs.causal,
                                        .log_decay = std::nullopt,
                                        .normalize = normalize_}),
          .lse = std::nullopt,
          .weights = std::nullopt};
}

at::Tensor LinearAttention::do_weights(const Inputs& inputs, const at::Tensor& query_rows) const {
  const at::Tensor phi_q = apply_feature_map(feature_map_, select_rows(inputs.q, query_rows));
  const at::Tensor phi_k =
      repeat_kv_heads(apply_feature_map(feature_map_, inputs.k), inputs.q.size(1));
  const at::Tensor keep = visible_pairs(inputs.q.size(2), inputs.k.size(2),
                                        {.causal = inputs.causal}, query_rows, inputs.q.device());
  const at::Tensor scores =
      at::matmul(phi_q, phi_k.transpose(-2, -1)).masked_fill(keep.logical_not(), 0.0);
  if (!normalize_) return scores;
  const at::Tensor sum = scores.sum(-1, /*keepdim=*/true);
  const at::Tensor is_zero = sum == 0;
  return (scores / sum.masked_fill(is_zero, 1.0)).masked_fill(is_zero, 0.0);
}

at::Tensor LinearAttention::do_reference(const Inputs& inputs, const at::Tensor& query_rows) const {
  return at::matmul(do_weights(inputs, query_rows), repeat_kv_heads(inputs.v, inputs.q.size(1)));
}

void register_linear(Registry& registry) {
  registry.add(
      {.name = "linear",
       .option_specs = {{.name = "feature_map",
                         .default_value = std::string("elu"),
                         .help = "phi: elu means elu(x) + 1",
                         .choices = {"elu", "relu", "identity"}},
                        {.name = "normalize",
                         .default_value = true,
                         .help = "divide by phi(q) z, as in the paper"}},
       .factory = [](const Options& options) { return std::make_unique<LinearAttention>(options); },
       .origin = "built-in"});
}

}  // namespace attnlab
