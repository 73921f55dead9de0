#include "tests/experiments/measure/rounding_faults.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/elu.h>
#include <ATen/ops/exp2.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <limits>

#include "experiments/measure/accuracy.h"
#include "variants/api/softmax_reference.h"

namespace attnlab::measure {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;
using torch::autograd::Variable;

constexpr double kLog2 = 0.69314718055994530942;

at::Tensor transposed(const at::Tensor& x) { return x.transpose(-2, -1); }

at::Tensor feature(const at::Tensor& x) { return at::elu(x) + 1; }

/// Gradient of `feature` times the gradient of its result.
at::Tensor through_feature(const at::Tensor& grad, const at::Tensor& x) {
  return grad * at::where(x > 0, at::zeros_like(x), x).exp();
}

/// One addition after another, over all keys.
at::Tensor one_chain(const at::Tensor& weights, const at::Tensor& v) {
  at::Tensor sum = at::zeros({v.size(0), v.size(1), weights.size(2), v.size(3)}, v.options());
  for (std::int64_t j = 0; j < v.size(2); ++j) {
    sum.addcmul_(weights.narrow(3, j, 1), v.narrow(2, j, 1));
  }
  return sum;
}

/// Weights are 2^(score - lse) with scores in units of log(2), as kernels do it.
struct Softmax : torch::autograd::Function<Softmax> {
  static at::Tensor forward(AutogradContext* context, const Variable& q, const Variable& k,
                            const Variable& v, const at::Tensor& keep, double scale,
                            Rounding rounding) {
    const at::Tensor scores = at::matmul(q * (scale / kLog2), transposed(k))
                                  .masked_fill_(~keep, -std::numeric_limits<double>::infinity());
    const at::Tensor row_max = scores.amax(-1, true);
    at::Tensor weights = at::exp2(scores - row_max);
    const at::Tensor sum = weights.sum(-1, true);
    weights = weights / sum;
    const at::Tensor out =
        rounding == Rounding::kOneChain ? one_chain(weights, v) : at::matmul(weights, v);
    const at::Tensor lse = row_max + sum.log2();
    const bool twice = rounding == Rounding::kRecomputedScores;
    context->save_for_backward({q, k, v, keep, twice ? lse * kLog2 : lse, out});
    context->saved_data["scale"] = scale;
    context->saved_data["twice"] = twice;
    return out;
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2], &g = grads[0];
    const double scale = context->saved_data["scale"].toDouble();
    const bool twice = context->saved_data["twice"].toBool();
    const at::Tensor scores = twice ? at::matmul(q, transposed(k)) * (scale / kLog2)
                                    : at::matmul(q * (scale / kLog2), transposed(k));
    const at::Tensor lse = twice ? saved[4] / kLog2 : saved[4];
    const at::Tensor weights = at::exp2(scores - lse).masked_fill_(~saved[3], 0.0);
    const at::Tensor delta = (g * saved[5]).sum(-1, true);
    const at::Tensor grad_scores = weights * (at::matmul(g, transposed(v)) - delta) * scale;
    return {at::matmul(grad_scores, k),
            at::matmul(transposed(grad_scores), q),
            at::matmul(transposed(weights), g),
            {},
            {},
            {}};
  }
};

struct Linear : torch::autograd::Function<Linear> {
  static at::Tensor forward(AutogradContext* context, const Variable& q, const Variable& k,
                            const Variable& v, const at::Tensor& keep, Rounding rounding) {
    const at::Tensor scores =
        at::matmul(feature(q), transposed(feature(k))).masked_fill_(~keep, 0.0);
    const at::Tensor denominator = scores.sum(-1, true);
    const at::Tensor out = at::matmul(scores, v) / denominator;
    context->save_for_backward({q, k, v, keep, scores, denominator, out});
    context->saved_data["long"] = rounding == Rounding::kLongDifference;
    return out;
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const at::Tensor keep = saved[3].to(q.scalar_type());
    const at::Tensor g = grads[0] / saved[5];
    // Values and outputs relative to a center, so that their difference keeps its digits.
    const bool is_long = context->saved_data["long"].toBool();
    const at::Tensor mean = v.mean(2, true);
    const at::Tensor center = is_long ? at::zeros_like(mean) : mean;
    const at::Tensor delta = (g * (saved[6] - center)).sum(-1, true);
    const at::Tensor products = at::matmul(g, transposed(v - center)) * keep;
    const at::Tensor grad_scores = products - delta * keep;
    const at::Tensor grad_q = is_long ? one_chain(products, feature(k)) -
                                            delta * one_chain(keep.expand_as(products), feature(k))
                                      : at::matmul(grad_scores, feature(k));
    return {through_feature(grad_q, q),
            through_feature(at::matmul(transposed(grad_scores), feature(q)), k),
            at::matmul(transposed(saved[4]), g),
            {},
            {}};
  }
};

}  // namespace

VariantInfo RoundedVariant::info() const {
  return {.name = "rounded",
          .summary = "a known rounding",
          .paper = "",
          .exact = !linear_,
          .time_order = "N",
          .memory_order = "N"};
}

Outputs RoundedVariant::do_forward(const Inputs& inputs) const {
  const std::int64_t seqlen_q = inputs.q.size(2);
  const std::int64_t seqlen_k = inputs.k.size(2);
  const at::Tensor rows = sample_rows(seqlen_q, rows_, seed_);
  const at::Tensor keep =
      visible_pairs(seqlen_q, seqlen_k, {.causal = inputs.causal}, rows, at::kCPU);
  const at::Tensor q = select_rows(inputs.q, rows);
  const at::Tensor part = linear_
                              ? Linear::apply(q, inputs.k, inputs.v, keep, rounding_)
                              : Softmax::apply(q, inputs.k, inputs.v, keep,
                                               problem_of(inputs).scale_or_default(), rounding_);
  const at::Tensor out =
      at::zeros({q.size(0), q.size(1), seqlen_q, inputs.v.size(3)}, inputs.q.options());
  return {.out = out.index_copy(2, rows, part), .lse = std::nullopt, .weights = std::nullopt};
}

at::Tensor RoundedVariant::do_reference(const Inputs& inputs, const at::Tensor& rows) const {
  if (!linear_) return softmax_reference(inputs, {.causal = inputs.causal}, rows);
  const at::Tensor keep =
      visible_pairs(inputs.q.size(2), inputs.k.size(2), {.causal = inputs.causal}, rows, at::kCPU);
  const at::Tensor scores =
      at::matmul(feature(select_rows(inputs.q, rows)), transposed(feature(inputs.k)))
          .masked_fill(keep.logical_not(), 0.0);
  return at::matmul(scores / scores.sum(-1, true), inputs.v);
}

}  // namespace attnlab::measure
