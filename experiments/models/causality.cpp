#include "experiments/models/causality.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/nonzero.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "kernels/core/error.h"

namespace attnlab {
namespace {

class EvaluationMode {
 public:
  explicit EvaluationMode(SequenceModel &model) : model_(model), training_(model->is_training()) {
    model_->eval();
  }
  ~EvaluationMode() { model_->train(training_); }
  EvaluationMode(const EvaluationMode &) = delete;
  EvaluationMode &operator=(const EvaluationMode &) = delete;

 private:
  SequenceModel &model_;
  bool training_;
};

/// Equal bits, not equal values: NaN is equal to itself.
at::Tensor differs(const at::Tensor &a, const at::Tensor &b) {
  const at::ScalarType bits = a.element_size() == 8   ? at::kLong
                              : a.element_size() == 4 ? at::kInt
                                                      : at::kShort;
  return a.contiguous().view(bits).ne(b.contiguous().view(bits));
}

/// Each row of the batch gets another token at `position`.
at::Tensor with_another_token(const at::Tensor &ids, std::int64_t position, std::int64_t vocab) {
  at::Tensor changed = ids.clone();
  changed.select(1, position).copy_((ids.select(1, position) + 1).remainder(vocab));
  return changed;
}

}  // namespace

std::string CausalityReport::to_string() const {
  if (!leaks.empty()) {
    const CausalityLeak &leak = leaks.front();
    return fmt::format(
        "not causal: another token at position {} changed the logits from position {} on, by up to "
        "{:g}; {} of {} changed tokens were seen before their position",
        leak.changed, leak.first, leak.size, leaks.size(), positions.size());
  }
  if (!without_effect.empty()) {
    return fmt::format("undecided: another token at position {} changed no logit at all",
                       without_effect.front());
  }
  if (positions.empty()) return "undecided: no token was changed";
  return fmt::format("causal: {} tokens changed, no logit before them", positions.size());
}

std::vector<std::int64_t> causality_positions(std::int64_t seqlen, std::int64_t count,
                                              std::uint64_t seed) {
  if (seqlen < 2 || count < 1) return {};
  // The ends first, then the rest in random order.
  std::vector<std::int64_t> order(static_cast<std::size_t>(seqlen - 1));
  std::iota(order.begin(), order.end(), 1);
  std::swap(order.front(), order.back());
  if (order.size() > 2) {
    std::swap(order[1], order.back());
    std::shuffle(order.begin() + 2, order.end(), std::mt19937_64(seed));
  }
  order.resize(std::min(order.size(), static_cast<std::size_t>(count)));
  std::ranges::sort(order);
  return order;
}

CausalityReport check_causality(SequenceModel &model, const at::Tensor &ids,
                                const std::vector<std::int64_t> &positions) {
  const std::int64_t seqlen = ids.size(1);
  const std::int64_t vocab = model->options().vocab;
  if (vocab < 2) {
    throw ConfigError(
        "[causality] the model knows one token only, so none can be changed; it needs at least 2.");
  }
  const at::NoGradGuard no_grad;
  const EvaluationMode evaluation(model);
  CausalityReport report;
  report.positions = positions;
  std::ranges::sort(report.positions);
  const at::Tensor before = model->forward(ids);
  for (const std::int64_t position : report.positions) {
    if (position < 1 || position >= seqlen) {
      throw ConfigError(
          fmt::format("[causality] position {} of a sequence of {} tokens cannot be checked; a "
                      "token from 1 to {} has others before it.",
                      position, seqlen, seqlen - 1));
    }
    const at::Tensor after = model->forward(with_another_token(ids, position, vocab));
    const at::Tensor changed = differs(after, before).any(-1).any(0);  // `[seqlen]`
    if (!changed.any().item<bool>()) report.without_effect.push_back(position);
    const at::Tensor leaking = changed.narrow(0, 0, position);
    if (!leaking.any().item<bool>()) continue;
    const at::Tensor size = (after - before).narrow(1, 0, position).abs().max();
    report.leaks.push_back(
        {position, at::nonzero(leaking)[0].item<std::int64_t>(), size.item<double>()});
  }
  return report;
}

CausalityReport check_causality(SequenceModel &model, const at::Tensor &ids, std::int64_t count,
                                std::uint64_t seed) {
  return check_causality(model, ids, causality_positions(ids.size(1), count, seed));
}

}  // namespace attnlab
