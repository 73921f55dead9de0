#include "variants/full/full.h"

#include <ATen/ops/matmul.h>
#include <fmt/format.h>

#include "kernels/ops/ops.h"
#include "variants/api/cost.h"
#include "variants/api/softmax_reference.h"
#include "variants/api/support.h"
#include "variants/full/additive.h"

namespace attnlab {
namespace {

std::int64_t bytes_of(std::int64_t heads, std::int64_t seqlen, std::int64_t dim, const Problem& p) {
  return p.batch * heads * seqlen * dim * static_cast<std::int64_t>(c10::elementSize(p.dtype));
}

/// Queries and keys of the dot form, where they are tensors of their own.
std::int64_t dot_form_bytes(Score score, const Problem& p) {
  const std::int64_t dim = dot_form_head_dim(score, p);
  const std::int64_t q = bytes_of(p.heads, p.seqlen_q, dim, p);
  if (score == Score::kGeneral) return q;
  if (score == Score::kCosine || score == Score::kRbf) {
    return q + bytes_of(p.kv_heads, p.seqlen_k, dim, p);
  }
  return 0;
}

}  // namespace

FullAttention::FullAttention(const Options& options)
    : options_(options), score_(parse_score(options.get_string("score"))) {}

VariantInfo FullAttention::info() const {
  return {.name = "full",
          .summary = "softmax attention with stored scores; returns the weights",
          .paper = "Vaswani et al. 2017, arXiv 1706.03762",
          .exact = score_ == Score::kScaledDot,
          .time_order = "N^2",
          .memory_order = "N^2",
          .extra_inputs = {alibi_slopes_input()},
          .parameters = score_parameters(score_)};
}

Support FullAttention::do_supports(const Problem& problem) const {
  const Support support = operator_support(problem);
  if (support.ok && score_ == Score::kCosine && problem.head_dim == 1) {
    return Support::no(
        "head_dim is 1, and the cosine of single numbers is their sign alone; score=cosine takes 2 "
        "or more");
  }
  const std::int64_t added = dot_form_head_dim(score_, problem) - problem.head_dim;
  constexpr std::int64_t kMaxHeadDim = 256;
  if (support.ok && problem.head_dim + added > kMaxHeadDim) {
    return Support::no(fmt::format(
        "head_dim is {}; score=rbf takes 1 to {} at this dtype, as it needs columns of its own",
        problem.head_dim, kMaxHeadDim - added));
  }
  return support;
}

Plan FullAttention::do_plan(const Problem& problem) const {
  if (score_ == Score::kAdditive) return plan_additive_attention(problem);
  AttentionShape shape = attention_shape(problem);
  shape.head_dim = dot_form_head_dim(score_, problem);
  const ops::OpPlan forward = ops::plan_naive_attention(shape, {problem.threads, problem.device});
  Plan plan;
  plan.kernel_name = forward.kernel_name;
  // Every score is computed, also those that the mask removes; credited are the visible pairs.
  plan.flops = softmax_attention_flops(problem, problem_mask(problem));
  count_tensors(problem, 0, plan);
  const std::int64_t weights_bytes =
      shape.batch * shape.heads * shape.seqlen_q * shape.seqlen_k * element_size(shape.dtype);
  const std::int64_t dot_form = dot_form_bytes(score_, problem);
  if (problem.with_backward()) {
    plan.saved_bytes = weights_bytes + dot_form;
    // At the kernel's peak the gradients of the dot form are there in place of dq and dk.
    plan.workspace_bytes =
        ops::plan_naive_attention_backward(
            shape, {.scale = default_scale(score_, problem.head_dim), .causal = problem.causal},
            {problem.threads, problem.device})
            .workspace_bytes;
  } else {
    plan.workspace_bytes = weights_bytes + forward.workspace_bytes + dot_form;
  }
  return plan;
}

Outputs FullAttention::do_forward(const Inputs& inputs) const {
  if (score_ == Score::kAdditive) return additive_attention(inputs);
  const DotForm dots = dot_form(score_, inputs);
  auto [out, weights] =
      ops::naive_attention(dots.q, dots.k, inputs.v,
                           {.scale = inputs.scale.value_or(default_scale(score_, inputs.q.size(3))),
                            .causal = inputs.causal,
                            .alibi_slopes = alibi_slopes(inputs)});
  return {.out = out, .lse = std::nullopt, .weights = weights};
}

at::Tensor FullAttention::do_reference(const Inputs& inputs, const at::Tensor& query_rows) const {
  return at::matmul(do_weights(inputs, query_rows), repeat_kv_heads(inputs.v, inputs.q.size(1)));
}

at::Tensor FullAttention::do_weights(const Inputs& inputs, const at::Tensor& query_rows) const {
  return masked_softmax(score_formula(score_, inputs, query_rows), inputs,
                        {.causal = inputs.causal}, query_rows);
}

void register_full(Registry& registry) {
  registry.add(
      {.name = "full",
       .option_specs = {{.name = "score",
                         .default_value = std::string("scaled_dot"),
                         .help = "what is put through the softmax; general and additive have "
                                 "learned weights",
                         .choices = score_names()}},
       .factory = [](const Options& options) { return std::make_unique<FullAttention>(options); },
       .origin = "built-in"});
}

}  // namespace attnlab
