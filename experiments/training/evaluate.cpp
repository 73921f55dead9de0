#include "experiments/training/evaluate.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/log_softmax.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>

#include "experiments/training/batches.h"

namespace attnlab::training {
namespace {

using tasks::Metric;

/// sum(points) / sum(counts) over samples.
class Ratio {
 public:
  void add(double points, double counts) {
    points_.push_back(points);
    counts_.push_back(counts);
  }

  Score score(const std::string& slice, const char* metric) const {
    double points = 0, counts = 0;
    for (const double each : points_) points += each;
    for (const double each : counts_) counts += each;
    Score score{slice, metric, points / counts, 0, static_cast<std::int64_t>(points_.size())};
    const auto n = static_cast<double>(points_.size());
    if (n < 2) {
      score.ci = std::numeric_limits<double>::infinity();
      return score;
    }
    double squares = 0;
    for (std::size_t i = 0; i < points_.size(); ++i) {
      const double residual = points_[i] - score.value * counts_[i];
      squares += residual * residual;
    }
    constexpr double kNormal95 = 1.959964;
    score.ci = kNormal95 * std::sqrt(squares * n / (n - 1)) / counts;
    return score;
  }

 private:
  std::vector<double> points_, counts_;
};

/// "8..15" for 8 to 15: the power of two below, and what is before the next.
std::string bucket_name(const char* what, std::size_t value) {
  if (value == 0) return fmt::format("{}=0", what);
  const std::size_t low = std::bit_floor(value);
  return low == 1 ? fmt::format("{}=1", what) : fmt::format("{}={}..{}", what, low, 2 * low - 1);
}

std::size_t bucket_order(std::size_t value) { return value == 0 ? 0 : std::bit_width(value); }

/// Counts answers: of all, and by distance or position.
class Tally {
 public:
  Tally(const tasks::Task& task, Metric metric) : task_(task), metric_(metric) {}

  /// `points` of the answer at each position: 1 for right, or bits.
  void add(const tasks::Sample& sample, const double* points) {
    const bool whole = sample.labels.size() != sample.inputs.size();
    double sum = 0, count = 0;
    std::map<std::size_t, std::pair<double, double>> parts;
    for (std::size_t i = 0; i < sample.labels.size(); ++i) {
      if (sample.labels[i] == tasks::kNotScored) continue;
      const std::size_t position = whole ? sample.inputs.size() - 1 : i;
      sum += points[position];
      count += 1;
      const auto far = distance(sample, position);
      if (!far) continue;
      names_.try_emplace(bucket_order(*far), bucket_name(slice_key(), *far));
      auto& [part_sum, part_count] = parts[bucket_order(*far)];
      part_sum += points[position];
      part_count += 1;
    }
    if (count == 0) return;
    const bool exact = metric_ == Metric::kExactMatch;
    all_.add(exact ? (sum == count ? 1 : 0) : sum, exact ? 1 : count);
    for (const auto& [bucket, part] : parts) slices_[bucket].add(part.first, part.second);
  }

  std::vector<Score> scores() const {
    std::vector<Score> scores = {all_.score("", tasks::metric_name(metric_))};
    const Metric part = metric_ == Metric::kExactMatch ? Metric::kAccuracy : metric_;
    for (const auto& [bucket, ratio] : slices_) {
      scores.push_back(ratio.score(names_.at(bucket), tasks::metric_name(part)));
    }
    return scores;
  }

 private:
  const char* slice_key() const {
    return metric_ == Metric::kBitsPerByte ? "position" : "distance";
  }

  std::optional<std::size_t> distance(const tasks::Sample& sample, std::size_t position) const {
    if (metric_ == Metric::kBitsPerByte) return position;
    const auto evidence = task_.evidence(sample.inputs, position);
    if (!evidence || *evidence > position) return std::nullopt;
    return position - *evidence;
  }

  const tasks::Task& task_;
  Metric metric_;
  Ratio all_;
  std::map<std::size_t, Ratio> slices_;
  std::map<std::size_t, std::string> names_;
};

/// `[samples, seqlen]` on the CPU in float64: what `Tally` counts.
at::Tensor points_of(const at::Tensor& logits, const Batch& batch, Metric metric) {
  const at::Tensor labels = batch.labels.to(logits.device());
  if (metric != Metric::kBitsPerByte) {
    return at::argmax(logits, -1).eq(labels).to(at::kDouble).cpu().contiguous();
  }
  const at::Tensor logs = at::log_softmax(logits.to(at::kFloat), -1);
  const at::Tensor right = logs.gather(-1, labels.clamp_min(0).unsqueeze(-1)).squeeze(-1);
  return right.to(at::kDouble).mul(-1 / std::numbers::ln2).cpu().contiguous();
}

}  // namespace

std::vector<Score> evaluate(SequenceModel& model, const tasks::Task& task, tasks::Split split,
                            std::int64_t samples, std::int64_t batch) {
  const at::NoGradGuard no_grad;
  const at::Device device = model->parameters().front().device();
  const std::uint64_t count = std::min(static_cast<std::uint64_t>(samples), task.size(split));
  Tally tally(task, task.metric());
  for (std::uint64_t first = 0; first < count; first += static_cast<std::uint64_t>(batch)) {
    std::vector<tasks::Sample> part;
    const std::uint64_t end = std::min(count, first + static_cast<std::uint64_t>(batch));
    for (std::uint64_t i = first; i < end; ++i) part.push_back(task.graded(split, i));
    const Batch tensors = make_batch(part);
    const at::Tensor logits = model->forward(tensors.ids.to(device));
    const at::Tensor points = points_of(logits, tensors, task.metric());
    const double* row = points.const_data_ptr<double>();
    for (const tasks::Sample& sample : part) {
      tally.add(sample, row);
      row += points.size(1);
    }
  }
  return tally.scores();
}

bool is_better(tasks::Metric metric, double a, double b) {
  if (std::isnan(a)) return false;
  if (std::isnan(b)) return true;
  return metric == Metric::kBitsPerByte ? a < b : a > b;
}

}  // namespace attnlab::training
