#include "experiments/models/attention_statistics.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/xlogy.h>

#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"
#include "variants/api/softmax_reference.h"

namespace attnlab {
namespace {

constexpr std::int64_t kBlockElements = std::int64_t{1} << 22;  // 32 MiB of float64

Inputs in_float64(const Inputs &inputs) {
  Inputs exact = inputs;
  exact.q = inputs.q.detach().to(at::kDouble);
  exact.k = inputs.k.detach().to(at::kDouble);
  exact.v = inputs.v.detach().to(at::kDouble);
  return exact;
}

/// Equal scores, positive features.
Inputs without_content(const Inputs &inputs) {
  Inputs equal = inputs;
  equal.q = at::ones_like(inputs.q);
  equal.k = at::ones_like(inputs.k);
  return equal;
}

/// Sums over the blocks, of all heads at once: `[heads]`.
struct Sums {
  at::Tensor largest;       ///< of |scale q.k|; -1 = no visible pair yet
  at::Tensor entropy;       ///< sum over the rows that count
  at::Tensor rows;          ///< how many those are
  at::Tensor distribution;  ///< whether all of them were distributions
};

/// q `[batch, heads, rows, head_dim]`, k with as many heads; weights and visible `[batch, heads,
/// rows, seqlen_k]`.
void add_block(const at::Tensor &q, const at::Tensor &k, double scale, const at::Tensor &weights,
               const at::Tensor &visible, Sums &sums) {
  const at::Tensor scores = (at::matmul(q, k.transpose(-2, -1)) * scale).abs();
  sums.largest =
      sums.largest.maximum(scores.masked_fill(visible.logical_not(), -1.0).amax({0, 2, 3}));

  const std::vector<std::int64_t> over = {0, 2};  // all but the head
  constexpr double kSumTolerance = 1e-6;
  const at::Tensor keys = visible.sum(-1).to(at::kDouble);
  const at::Tensor counts = keys >= 2;
  const at::Tensor negative = (weights < 0).any(-1);
  const at::Tensor sum_off = (weights.sum(-1) - 1).abs().le(kSumTolerance).logical_not();
  const at::Tensor bad = negative.logical_or(sum_off).logical_and(counts);
  sums.distribution = sums.distribution.logical_and(bad.any(-1).any(0).logical_not());
  const at::Tensor entropy = -at::xlogy(weights, weights).sum(-1) / keys.log();
  sums.entropy = sums.entropy + entropy.masked_fill(counts.logical_not(), 0.0).sum(over);
  sums.rows = sums.rows + counts.sum(over);
}

}  // namespace

AttentionStatistics attention_statistics(const Variant &variant, const Inputs &inputs) {
  const at::NoGradGuard no_grad;
  const Problem problem = problem_of(inputs);
  const auto heads = static_cast<std::size_t>(problem.heads);
  AttentionStatistics result{std::vector<std::optional<double>>(heads),
                             std::vector<std::optional<double>>(heads)};
  const bool has_scores = variant.info().exact;
  const Inputs exact = in_float64(inputs);
  const Inputs equal = without_content(exact);
  const at::Tensor k = repeat_kv_heads(exact.k, problem.heads);
  const auto options = exact.q.options();
  Sums sums{(k.new_zeros({problem.heads}) - 1), k.new_zeros({problem.heads}),
            k.new_zeros({problem.heads}), k.new_ones({problem.heads}).to(at::kBool)};
  const std::int64_t block = std::max<std::int64_t>(
      1, kBlockElements / (problem.batch * problem.heads * problem.seqlen_k));
  for (std::int64_t begin = 0; begin < problem.seqlen_q; begin += block) {
    const at::Tensor rows =
        at::arange(begin, std::min(begin + block, problem.seqlen_q), options.dtype(at::kLong));
    at::Tensor weights, visible;
    try {
      weights = variant.weights(exact, rows);
      visible = variant.weights(equal, rows) > 0;
    } catch (const UnsupportedError &) {
      return result;  // the variant has no weights: said by empty values
    }
    add_block(select_rows(exact.q, rows), k, problem.scale_or_default(), weights, visible, sums);
  }
  for (std::size_t head = 0; head < heads; ++head) {
    const auto at = [head](const at::Tensor &tensor) {
      return tensor[static_cast<std::int64_t>(head)].item<double>();
    };
    if (has_scores && !(at(sums.largest) < 0)) result.logit_max[head] = at(sums.largest);
    if (at(sums.rows) > 0 && at(sums.distribution) != 0) {
      result.entropy[head] = at(sums.entropy) / at(sums.rows);
    }
  }
  return result;
}

}  // namespace attnlab
