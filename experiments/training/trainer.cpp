#include "experiments/training/trainer.h"

#include <ATen/ops/cross_entropy_loss.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/nn/utils/clip_grad.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "experiments/measure/memory.h"
#include "experiments/training/batches.h"
#include "experiments/training/checkpoint.h"
#include "experiments/training/evaluate.h"
#include "experiments/training/learning_rate.h"
#include "experiments/training/train_state.h"
#include "kernels/core/error.h"

namespace attnlab::training {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kKeptTimes = 1000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Biases and norms are vectors, and do not decay.
torch::optim::AdamW make_optimizer(SequenceModel& model, const config::TrainConfig& config) {
  std::vector<at::Tensor> matrices, vectors;
  for (const at::Tensor& parameter : model->parameters()) {
    (parameter.dim() >= 2 ? matrices : vectors).push_back(parameter);
  }
  const auto options = [&](double decay) {
    constexpr double kBeta1 = 0.9;
    return std::make_unique<torch::optim::AdamWOptions>(
        torch::optim::AdamWOptions(0).betas({kBeta1, config.beta2}).weight_decay(decay));
  };
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(matrices, options(config.weight_decay));
  groups.emplace_back(vectors, options(0));
  return torch::optim::AdamW(std::move(groups));
}

/// One training for each learning rate.
class Training {
 public:
  Training(const TrainRequest& request, const tasks::Task& task, const ModelFactory& make)
      : request_(request),
        config_(request.config),
        task_(task),
        make_(make),
        order_(request.seed, config_.examples, config_.batch) {
    state_.best_look = kNaN;
    state_.result.validation = kNaN;
  }

  TrainResult run(SequenceModel& best) {
    begin();
    const std::string text =
        load_checkpoint(request_.checkpoint, request_.identity, model_, *optimizer_, best_weights_);
    if (!text.empty()) {
      state_ = decode_state(text);
      request_.report(fmt::format("goes on from the checkpoint at step {}", state_.step));
    }
    while (state_.lr_index < config_.lr.size()) train_one();
    if (!best_weights_.defined()) {
      throw Error(fmt::format(
          "[train] the loss was not finite any more, with every learning rate ({}); try smaller "
          "ones, or a smaller train.clip.",
          fmt::join(config_.lr, ", ")));
    }
    set_weights(model_, best_weights_);
    best = model_;
    return state_.result;
  }

 private:
  void begin() {
    model_ = make_();
    optimizer_ = std::make_unique<torch::optim::AdamW>(make_optimizer(model_, config_));
  }

  void train_one() {
    peak_.emplace(device().type());
    bool finite = true;
    while (finite && !is_done()) finite = advance();
    finish(finite);
    peak_.reset();
    if (state_.lr_index < config_.lr.size()) begin();
  }

  at::Device device() const { return model_->parameters().front().device(); }

  /// The weights were there before the counter began; gradients, moments and batches came after.
  std::int64_t peak_bytes() const {
    std::int64_t bytes = peak_->peak_bytes();
    for (const at::Tensor& parameter : model_->parameters()) {
      bytes += static_cast<std::int64_t>(parameter.nbytes());
    }
    return bytes;
  }

  bool is_done() const {
    if (state_.step >= config_.steps) return true;
    if (config_.patience > 0 && state_.stale >= config_.patience) return true;
    return config_.stop_at > 0 && state_.step > 0 && reached();
  }

  bool reached() const {
    return state_.best_look == config_.stop_at ||
           is_better(task_.metric(), state_.best_look, config_.stop_at);
  }

  /// The updates up to the next look at the validation part, and that look. False where the loss is
  /// not finite any more.
  bool advance() {
    const std::int64_t end =
        std::min(config_.steps, (state_.step / config_.eval_every + 1) * config_.eval_every);
    CurvePoint point;
    point.lr = config_.lr[state_.lr_index];
    const std::int64_t first = state_.step;
    for (; state_.step < end; ++state_.step) {
      const auto start = Clock::now();
      point.learning_rate = learning_rate(state_.step, config_.steps, config_.warmup, point.lr);
      const auto [loss, norm] = update(point.learning_rate);
      if (!std::isfinite(loss) || !std::isfinite(norm)) return false;
      point.loss += loss;
      point.gradient_norm += norm;
      keep_time(seconds_since(start));
    }
    point.step = state_.step;
    point.loss /= static_cast<double>(end - first);
    point.gradient_norm /= static_cast<double>(end - first);
    point.validation = evaluate(model_, task_, tasks::Split::kValidation, config_.eval_samples,
                                config_.batch / config_.accumulate)
                           .front()
                           .value;
    look(point);
    return true;
  }

  bool is_look(std::int64_t step) const {
    return step % config_.eval_every == 0 || step == config_.steps;
  }

  void keep(const std::vector<DiagnosticRow>& rows) {
    const double lr = config_.lr[state_.lr_index];
    for (const DiagnosticRow& row : rows) state_.result.looks_inside.push_back({lr, row});
  }

  /// Loss, in nats per answer, and the norm of the gradient before clipping.
  std::pair<double, double> update(double lr) {
    std::optional<Diagnostics> inside;
    if (config_.diagnose && is_look(state_.step + 1)) inside.emplace(model_);
    for (auto& group : optimizer_->param_groups()) group.options().set_lr(lr);
    optimizer_->zero_grad();
    const std::vector<std::uint64_t> indices = order_.indices(state_.step);
    std::vector<tasks::Sample> samples;
    for (const std::uint64_t index : indices) {
      samples.push_back(task_.sample(tasks::Split::kTrain, index));
    }
    const auto part = static_cast<std::size_t>(config_.batch / config_.accumulate);
    const double answers = count_answers(samples);
    at::Tensor loss;  // read once, so that on CUDA no part waits for the one before it
    for (std::size_t i = 0; i < samples.size(); i += part) {
      const auto begin = samples.begin() + static_cast<std::ptrdiff_t>(i);
      const at::Tensor more = backward({begin, begin + static_cast<std::ptrdiff_t>(part)}, answers);
      loss = loss.defined() ? loss + more : more;
    }
    const double bound = config_.clip > 0 ? config_.clip : std::numeric_limits<double>::infinity();
    if (inside) {
      keep(inside->rows(state_.step + 1));
      inside->keep_weights();
    }
    const double norm = torch::nn::utils::clip_grad_norm_(model_->parameters(), bound);
    optimizer_->step();
    if (inside) keep(inside->update_rows(state_.step + 1));
    // Waits for the update, too, so that the time of an update is all of it.
    return {loss.item<double>(), norm};
  }

  /// Sums of parts are divided by the answers of the whole batch, so that cutting it changes
  /// nothing but rounding. The loss in float64, on the model's device.
  at::Tensor backward(const std::vector<tasks::Sample>& samples, double answers) {
    const Batch batch = make_batch(samples);
    // A copy to the device waits for what runs there, so none stands between the passes.
    const at::Tensor ids = batch.ids.to(device()), labels = batch.labels.to(device());
    const at::Tensor loss =
        at::cross_entropy_loss(model_->forward(ids).flatten(0, 1), labels.flatten(), {},
                               at::Reduction::Sum, tasks::kNotScored) /
        answers;
    loss.backward();
    state_.tokens += ids.numel();
    return loss.detach().to(at::kDouble);
  }

  static double count_answers(const std::vector<tasks::Sample>& samples) {
    std::int64_t answers = 0;
    for (const tasks::Sample& sample : samples) {
      answers += std::ranges::count_if(
          sample.labels, [](std::int32_t label) { return label != tasks::kNotScored; });
    }
    return static_cast<double>(std::max<std::int64_t>(answers, 1));
  }

  void keep_time(double seconds) {
    state_.step_ms.push_back(seconds * 1e3);
    if (state_.step_ms.size() > kKeptTimes) state_.step_ms.erase(state_.step_ms.begin());
    state_.seconds += seconds;
  }

  void look(const CurvePoint& point) {
    if (is_better(task_.metric(), point.validation, state_.best_look)) {
      state_.best_look = point.validation;
      state_.stale = 0;
    } else {
      ++state_.stale;
    }
    state_.result.curve.push_back(point);
    state_.result.peak_bytes = std::max(state_.result.peak_bytes, peak_bytes());
    if (!request_.checkpoint.empty()) {
      save_checkpoint(request_.checkpoint, {request_.identity, encode_state(state_)}, model_,
                      *optimizer_, best_weights_);
    }
    const auto trainings_left = static_cast<std::int64_t>(config_.lr.size() - state_.lr_index - 1);
    const std::int64_t steps_left = config_.steps - state_.step + config_.steps * trainings_left;
    const double left =
        state_.seconds / static_cast<double>(state_.step) * static_cast<double>(steps_left);
    request_.report(fmt::format(
        "lr {:g} step {}/{}  loss {:.4f}  {} {:.4f}  {:.0f} tokens/s  at most {:.0f} s left",
        point.lr, state_.step, config_.steps, point.loss, tasks::metric_name(task_.metric()),
        point.validation, tokens_per_s(), left));
  }

  double tokens_per_s() const {
    return state_.seconds > 0 ? static_cast<double>(state_.tokens) / state_.seconds : 0;
  }

  void finish(bool finite) {
    const double lr = config_.lr[state_.lr_index];
    const double validation =
        finite && !state_.result.curve.empty() ? state_.result.curve.back().validation : kNaN;
    if (!finite) request_.report(fmt::format("lr {:g}: the loss is not finite any more", lr));
    if (finite && (!best_weights_.defined() ||
                   is_better(task_.metric(), validation, state_.result.validation))) {
      best_weights_ = weights_of(model_);
      state_.result.best_lr = lr;
      state_.result.validation = validation;
      state_.result.steps = state_.step;
      state_.result.step_ms = state_.step_ms;
      state_.result.tokens_per_s = tokens_per_s();
    }
    ++state_.lr_index;
    state_.step = state_.stale = state_.tokens = 0;
    state_.best_look = kNaN;
    state_.step_ms.clear();
    state_.seconds = 0;
  }

  const TrainRequest& request_;
  const config::TrainConfig& config_;
  const tasks::Task& task_;
  const ModelFactory& make_;
  TrainingOrder order_;
  TrainState state_;
  SequenceModel model_{nullptr};
  std::unique_ptr<torch::optim::AdamW> optimizer_;
  at::Tensor best_weights_;
  std::optional<measure::PeakScope> peak_;
};

}  // namespace

TrainResult train(const TrainRequest& request, const tasks::Task& task, const ModelFactory& make,
                  SequenceModel& best) {
  return Training(request, task, make).run(best);
}

}  // namespace attnlab::training
