#include "experiments/models/diagnostics.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "kernels/core/error.h"

namespace attnlab {
namespace {

constexpr std::int64_t kAll = DiagnosticRow::kAllHeads;

/// Sums in float64 over tensors that belong together.
struct Sums {
  double squares = 0;
  std::int64_t values = 0;
  std::int64_t nonfinite = 0;

  void add(const at::Tensor &tensor) {
    if (!tensor.defined()) return;
    squares += tensor.detach().to(at::kDouble).square().sum().item<double>();
    values += tensor.numel();
    nonfinite += tensor.numel() - tensor.detach().isfinite().sum().item<std::int64_t>();
  }
  double norm() const { return std::sqrt(squares); }
  double rms() const { return std::sqrt(squares / static_cast<double>(values)); }
};

Sums sums_of(const std::vector<at::Tensor> &tensors) {
  Sums sums;
  for (const at::Tensor &tensor : tensors) sums.add(tensor);
  return sums;
}

std::vector<at::Tensor> gradients_of(const std::vector<at::Tensor> &parameters) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor &parameter : parameters) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  }
  return gradients;
}

/// Collects the rows of one layer.
class Rows {
 public:
  Rows(std::int64_t step, std::int64_t layer, std::vector<DiagnosticRow> &rows)
      : step_(step), layer_(layer), rows_(rows) {}

  void add(std::int64_t head, const char *quantity, double value) {
    rows_.push_back({step_, layer_, head, quantity, value});
  }

  /// activation_rms, gradient_rms and nonfinite of a tensor and its gradient, and of `more`.
  void add_activation(std::int64_t head, const at::Tensor &activation, const at::Tensor &gradient,
                      const Sums &more) {
    const Sums forward = sums_of({activation}), backward = sums_of({gradient});
    add(head, "activation_rms", forward.rms());
    if (backward.values > 0) add(head, "gradient_rms", backward.rms());
    add(head, "nonfinite",
        static_cast<double>(forward.nonfinite + backward.nonfinite + more.nonfinite) /
            static_cast<double>(forward.values + backward.values + more.values));
  }

  void add_parameters(const std::vector<at::Tensor> &parameters, const Sums &gradients) {
    add(kAll, "weight_norm", sums_of(parameters).norm());
    if (gradients.values > 0) add(kAll, "gradient_norm", gradients.norm());
  }

  void add_statistics(const AttentionStatistics &statistics) {
    std::optional<double> largest;
    double entropies = 0;
    std::int64_t heads = 0;
    for (std::size_t i = 0; i < statistics.logit_max.size(); ++i) {
      const auto head = static_cast<std::int64_t>(i);
      if (const auto &value = statistics.logit_max[i]) {
        add(head, "logit_max", *value);
        // NaN stays, whatever comes after it.
        if (!largest || std::isnan(*value) || *value > *largest) largest = value;
      }
      if (const auto &value = statistics.entropy[i]) {
        add(head, "entropy", *value);
        entropies += *value;
        ++heads;
      }
    }
    if (largest) add(kAll, "logit_max", *largest);
    if (heads > 0) add(kAll, "entropy", entropies / static_cast<double>(heads));
  }

 private:
  std::int64_t step_;
  std::int64_t layer_;
  std::vector<DiagnosticRow> &rows_;
};

/// Takes the parameters' gradients away while it lives.
class WithoutGradients {
 public:
  explicit WithoutGradients(std::vector<at::Tensor> parameters)
      : parameters_(std::move(parameters)) {
    for (const at::Tensor &parameter : parameters_) {
      kept_.push_back(parameter.grad());
      parameter.mutable_grad() = at::Tensor();
    }
  }
  ~WithoutGradients() {
    for (std::size_t i = 0; i < parameters_.size(); ++i) parameters_[i].mutable_grad() = kept_[i];
  }
  WithoutGradients(const WithoutGradients &) = delete;
  WithoutGradients &operator=(const WithoutGradients &) = delete;

 private:
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> kept_;
};

/// The layer of "block3.attention.in_proj_weight" is 3.
std::int64_t layer_of(std::string_view name) {
  constexpr std::string_view kBlock = "block";
  if (!name.starts_with(kBlock)) return DiagnosticRow::kOutsideLayers;
  return std::stoll(std::string(name.substr(kBlock.size())));
}

}  // namespace

Diagnostics::Diagnostics(SequenceModel model)
    : model_(std::move(model)), layers_(model_->blocks().size()) {
  for (const auto &parameter : model_->named_parameters()) {
    parameters_[layer_of(parameter.key())].push_back(parameter.value());
  }
  model_->observe(this);
}

Diagnostics::~Diagnostics() { model_->observe(nullptr); }

void Diagnostics::on_attention(std::int64_t layer, const Variant &variant, const Inputs &inputs,
                               const Outputs &outputs) {
  Layer &seen = layers_[static_cast<std::size_t>(layer)];
  seen.variant = &variant;
  seen.inputs = inputs;
  seen.inputs.q = inputs.q.detach();
  seen.inputs.k = inputs.k.detach();
  seen.inputs.v = inputs.v.detach();
  seen.heads = outputs.out;
  if (seen.heads.requires_grad()) seen.heads.retain_grad();
}

void Diagnostics::on_block(std::int64_t layer, const at::Tensor &output) {
  at::Tensor &seen = layers_[static_cast<std::size_t>(layer)].output;
  seen = output;
  if (seen.requires_grad()) seen.retain_grad();
}

std::vector<DiagnosticRow> Diagnostics::rows(std::int64_t step) const {
  const at::NoGradGuard no_grad;
  std::vector<DiagnosticRow> rows;
  for (const auto &[layer, parameters] : parameters_) {
    Rows out(step, layer, rows);
    const Sums gradients = sums_of(gradients_of(parameters));
    out.add_parameters(parameters, gradients);
    if (layer == DiagnosticRow::kOutsideLayers) continue;
    const Layer &seen = layers_[static_cast<std::size_t>(layer)];
    if (!seen.output.defined()) {
      throw Error("[diagnostics] no forward pass was seen, so there is nothing to tell.");
    }
    out.add_activation(kAll, seen.output, seen.output.grad(), gradients);
    const at::Tensor gradient = seen.heads.grad();
    for (std::int64_t head = 0; head < seen.heads.size(1); ++head) {
      out.add_activation(head, seen.heads.select(1, head),
                         gradient.defined() ? gradient.select(1, head) : gradient, {});
    }
    out.add_statistics(attention_statistics(*seen.variant, seen.inputs));
  }
  return rows;
}

void Diagnostics::keep_weights() {
  kept_.clear();
  for (const auto &[layer, parameters] : parameters_) {
    for (const at::Tensor &parameter : parameters) {
      kept_[layer].push_back(parameter.detach().clone());
    }
  }
}

std::vector<DiagnosticRow> Diagnostics::update_rows(std::int64_t step) const {
  if (kept_.empty()) {
    throw Error("[diagnostics] the weights before the update were not kept; call keep_weights.");
  }
  std::vector<DiagnosticRow> rows;
  for (const auto &[layer, parameters] : parameters_) {
    const std::vector<at::Tensor> &before = kept_.at(layer);
    Sums change;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      change.add(parameters[i].detach().to(at::kDouble) - before[i].to(at::kDouble));
    }
    Rows out(step, layer, rows);
    out.add(kAll, "update_norm", change.norm());
    const double norm = sums_of(before).norm();
    if (norm > 0) out.add(kAll, "update_ratio", change.norm() / norm);
  }
  return rows;
}

std::vector<DiagnosticRow> diagnose(SequenceModel &model, const at::Tensor &ids,
                                    const at::Tensor &labels, std::int64_t step) {
  constexpr std::int64_t kNotScored = -100;
  const WithoutGradients without_gradients(model->parameters());
  const Diagnostics diagnostics(model);
  const at::Tensor logits = model->forward(ids);
  at::cross_entropy_loss(logits.flatten(0, 1), labels.flatten(), {}, at::Reduction::Mean,
                         kNotScored)
      .backward();
  return diagnostics.rows(step);
}

}  // namespace attnlab
