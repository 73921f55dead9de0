#include "experiments/training/train_trial.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "analysis/csv.h"
#include "analysis/format.h"
#include "analysis/statistics.h"
#include "experiments/measure/memory.h"
#include "experiments/models/causality.h"
#include "experiments/models/diagnostic_flags.h"
#include "experiments/process/files.h"
#include "experiments/tasks/levels.h"
#include "experiments/tasks/ngram.h"
#include "experiments/training/batches.h"
#include "experiments/training/checkpoint.h"
#include "experiments/training/evaluate.h"
#include "experiments/training/learned_task.h"
#include "experiments/training/trainer.h"
#include "kernels/core/error.h"
#include "kernels/ops/device.h"

namespace attnlab::training {
namespace {

using analysis::csv_number;
using analysis::Record;
using analysis::Status;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string evaluation_line(const std::string& test, const std::string& answered_by,
                            const Score& score) {
  return analysis::csv_line({test, answered_by, score.slice, score.metric, csv_number(score.value),
                             csv_number(score.ci), std::to_string(score.samples)});
}

/// What one reaches without solving it, beside every score.
std::vector<std::pair<std::string, Score>> levels_of(const tasks::Task& task,
                                                     std::int64_t samples) {
  const char* const metric = tasks::metric_name(task.metric());
  const auto count = static_cast<std::uint64_t>(samples);
  const auto score = [&](double value) {
    return Score{"", metric, value, std::numeric_limits<double>::quiet_NaN(), samples};
  };
  std::vector<std::pair<std::string, Score>> found;
  if (task.metric() == tasks::Metric::kBitsPerByte) {
    for (const int context : {0, 1, 2, 3, 4}) {
      found.emplace_back(
          fmt::format("ngram_{}", context + 1),
          score(tasks::ngram_bits_per_byte(task, context, tasks::Split::kTest, count)));
    }
    return found;
  }
  for (const tasks::Level& level : tasks::levels(task, tasks::Split::kTest, count)) {
    found.emplace_back(level.name, score(level.accuracy));
  }
  return found;
}

/// Tokens that a layer of the variant looks back, where it has a window.
std::optional<std::int64_t> window_of(const config::TrialConfig& config) {
  const auto window = config.variant_options.find("window");
  if (window == config.variant_options.end()) return std::nullopt;
  const auto* const size = std::get_if<std::int64_t>(&window->second);
  return size == nullptr ? std::nullopt : std::optional(*size);
}

/// The share of answers whose evidence is no further back than `reach`; nothing where that cannot
/// be said of every answer.
std::optional<double> share_within(const tasks::Task& task, std::int64_t reach,
                                   std::int64_t samples) {
  std::int64_t answers = 0, near = 0;
  for (std::int64_t i = 0; i < samples; ++i) {
    const tasks::Sample sample = task.graded(tasks::Split::kTest, static_cast<std::uint64_t>(i));
    if (sample.labels.size() != sample.inputs.size()) return std::nullopt;
    for (std::size_t position = 0; position < sample.labels.size(); ++position) {
      if (sample.labels[position] == tasks::kNotScored) continue;
      const auto evidence = task.evidence(sample.inputs, position);
      if (!evidence) return std::nullopt;
      ++answers;
      near += static_cast<std::int64_t>(position - *evidence) <= reach ? 1 : 0;
    }
  }
  if (answers == 0) return std::nullopt;
  return static_cast<double>(near) / static_cast<double>(answers);
}

/// The one time that the test part is read: all tests of the chosen model.
class Tests {
 public:
  Tests(const config::TrialConfig& config, SequenceModel& model) : config_(config), model_(model) {}

  void run(const std::string& test, const tasks::Task& task) {
    const std::int64_t samples = std::min<std::int64_t>(
        config_.train.test_samples,
        static_cast<std::int64_t>(std::min<std::uint64_t>(
            task.size(tasks::Split::kTest), std::numeric_limits<std::int64_t>::max())));
    const std::vector<Score> scores =
        evaluate(model_, task, tasks::Split::kTest, samples,
                 std::max<std::int64_t>(config_.train.batch / config_.train.accumulate, 1));
    if (!main_) main_ = scores.front();
    for (const Score& score : scores) csv_ += evaluation_line(test, "model", score);
    for (const auto& [name, score] : levels_of(task, std::min<std::int64_t>(samples, 1000))) {
      csv_ += evaluation_line(test, name, score);
      if (test.empty()) levels_[name] = score.value;
    }
    add_reach(test, task, samples);
  }

  const Score& main() const { return *main_; }
  const std::string& csv() const { return csv_; }
  const nlohmann::ordered_json& levels() const { return levels_; }

 private:
  /// What one layer can know at once, and what all of them can hand on.
  void add_reach(const std::string& test, const tasks::Task& task, std::int64_t samples) {
    const auto window = window_of(config_);
    if (!window) return;
    const auto layers = static_cast<std::int64_t>(model_->blocks().size());
    const double none = std::numeric_limits<double>::quiet_NaN();
    for (const auto& [name, reach] :
         {std::pair{"reach_of_window", *window}, std::pair{"reach_of_layers", layers * *window}}) {
      const auto share = share_within(task, reach, samples);
      if (!share) return;
      csv_ += evaluation_line(test, name, {"", "accuracy", *share, none, samples});
      if (test.empty()) levels_[name] = *share;
    }
  }

  const config::TrialConfig& config_;
  SequenceModel& model_;
  std::optional<Score> main_;
  std::string csv_ = kEvaluationsHeader;
  nlohmann::ordered_json levels_ = nlohmann::ordered_json::object();
};

std::string curve_csv(const std::vector<CurvePoint>& curve) {
  std::string csv = kCurveHeader;
  for (const CurvePoint& point : curve) {
    csv += analysis::csv_line({csv_number(point.lr), std::to_string(point.step),
                               csv_number(point.learning_rate), csv_number(point.loss),
                               csv_number(point.gradient_norm), csv_number(point.validation)});
  }
  return csv;
}

std::string diagnostics_csv(const std::vector<LookInside>& looks) {
  std::string csv = kDiagnosticsHeader;
  for (const auto& [lr, row] : looks) {
    csv += analysis::csv_line({csv_number(lr), std::to_string(row.step), std::to_string(row.layer),
                               std::to_string(row.head), row.quantity, csv_number(row.value)});
  }
  return csv;
}

/// What the last look into the chosen training flags; "" for nothing.
std::string flags_text(const TrainResult& trained) {
  std::vector<DiagnosticRow> last;
  for (const auto& [lr, row] : trained.looks_inside) {
    if (lr != trained.best_lr) continue;
    if (!last.empty() && row.step > last.front().step) last.clear();
    last.push_back(row);
  }
  const std::vector<DiagnosticFlag> flags = find_flags(last);
  if (flags.empty()) return {};
  return fmt::format("flagged: {} of the model's layers and heads, first {}: {}", flags.size(),
                     flags.front().kind, flags.front().reason);
}

/// Changes later tokens of two test samples.
CausalityReport causality_of(SequenceModel& model, const tasks::Task& task, std::uint64_t seed) {
  std::vector<tasks::Sample> samples;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(2, task.size(tasks::Split::kTest)); ++i) {
    samples.push_back(task.sample(tasks::Split::kTest, i));
  }
  constexpr std::int64_t kPositions = 4;
  const at::Device device = model->parameters().front().device();
  return check_causality(model, make_batch(samples).ids.to(device), kPositions, seed);
}

void fill_times(const TrainResult& trained, Record& record) {
  record.train_tokens_per_s = trained.tokens_per_s;
  record.samples = static_cast<std::int64_t>(trained.step_ms.size());
  if (trained.step_ms.empty()) return;
  record.time_median_ms = analysis::median(trained.step_ms);
  record.time_p10_ms = analysis::quantile(trained.step_ms, 0.1);
  record.time_p90_ms = analysis::quantile(trained.step_ms, 0.9);
  if (trained.step_ms.size() < 2) return;
  const analysis::Interval interval = analysis::median_interval(trained.step_ms);
  record.time_ci_low_ms = interval.low;
  record.time_ci_high_ms = interval.high;
}

Problem problem_of(const config::TrialConfig& config) {
  Problem problem;
  problem.batch = config.batch;
  problem.heads = problem.kv_heads = config.heads;
  problem.seqlen_q = problem.seqlen_k = config.seqlen_q;
  problem.head_dim = problem.head_dim_v = config.head_dim;
  problem.dtype = parse_dtype(config.dtype);
  problem.device = config.device == "cuda" ? at::kCUDA : at::kCPU;
  problem.causal = true;
  problem.direction = Direction::kForwardBackward;
  return problem;
}

/// What an earlier attempt wrote must not stand beside the row of this one.
void prepare(const std::filesystem::path& folder) {
  process::make_directories(folder);
  for (const char* name : {"curve.csv", "diagnostics.csv", "evaluations.csv", "weights.pt"}) {
    std::filesystem::remove(folder / name);
  }
}

/// The reason where a training took more than its limit; "" else. The counting allocator holds
/// tensors of the CPU to the limit; a device's peak is known only afterwards.
std::string over_limit(const config::TrialConfig& config, std::int64_t peak_bytes) {
  if (config.memory_limit_bytes <= 0 || peak_bytes <= config.memory_limit_bytes) return {};
  return fmt::format("took {}, the limit is {}; raise limits.memory or make train.batch smaller",
                     analysis::format_bytes(peak_bytes),
                     analysis::format_bytes(config.memory_limit_bytes));
}

void learn(const config::TrialConfig& config, const Registry& registry,
           const TrainTrialOptions& options, TrainTrialResult& result) {
  Record& record = result.record;
  const auto task = make_task(config);
  record.task = task_label(config);
  record.metric = tasks::metric_name(task->metric());
  record.kernel =
      registry.make(config.variant, config.variant_options)->plan(problem_of(config)).kernel_name;

  TrainRequest request;
  request.config = config.train;
  request.seed = config.seed;
  request.identity = options.identity;
  if (!options.folder.empty()) request.checkpoint = options.folder / "checkpoint.pt";
  request.report = options.report;
  const ModelFactory make = [&] {
    SequenceModel model = make_model(config, registry, *task);
    model->to(at::Device(config.device == "cuda" ? at::kCUDA : at::kCPU));
    return model;
  };
  SequenceModel model{nullptr};
  const TrainResult trained = train(request, *task, make, model);
  record.peak_bytes = trained.peak_bytes;
  record.reason = over_limit(config, trained.peak_bytes);
  if (!record.reason.empty()) {
    record.status = Status::kOom;
    return;
  }
  if (config.measure_time) fill_times(trained, record);

  Tests tests(config, model);
  tests.run("", *task);
  for (const std::string& test : config.train.tests) {
    tests.run(test, *make_test(config, test, *task));
  }
  record.metric_value = tests.main().value;
  record.metric_ci = tests.main().ci;
  const CausalityReport causality = causality_of(model, *task, config.seed);
  const bool leaks = !causality.leaks.empty();
  record.status = leaks ? Status::kWrong : Status::kOk;
  record.reason = leaks ? causality.to_string() : flags_text(trained);
  if (leaks) {
    record.metric_value.reset();
    record.metric_ci.reset();
  }
  if (config.measure_time) result.samples_ms = trained.step_ms;
  result.notes = nlohmann::ordered_json{{"training",
                                         {{"lr", trained.best_lr},
                                          {"steps", trained.steps},
                                          {"validation", trained.validation},
                                          {"levels", tests.levels()}}}}
                     .dump();
  if (options.folder.empty()) return;
  process::write_file(options.folder / "curve.csv", curve_csv(trained.curve));
  process::write_file(options.folder / "evaluations.csv", tests.csv());
  if (config.train.diagnose) {
    process::write_file(options.folder / "diagnostics.csv", diagnostics_csv(trained.looks_inside));
  }
  save_weights(options.folder / "weights.pt", model);
  std::filesystem::remove(request.checkpoint);
}

}  // namespace

TrainTrialResult train_trial(const config::TrialConfig& given, const Registry& registry,
                             const TrainTrialOptions& options) {
  measure::install_counting_allocator();
  config::TrialConfig config = given;
  settle_training(config, registry);
  TrainTrialResult result;
  const auto end_with = [&](Status status, const std::string& reason) {
    result.record.status = status;
    result.record.reason = first_line(reason);
  };
  try {
    std::optional<measure::AllocationLimit> limit;
    if (config.device == "cpu" && config.memory_limit_bytes > 0) {
      limit.emplace(config.memory_limit_bytes);
    }
    if (!options.folder.empty()) prepare(options.folder);
    learn(config, registry, options, result);
  } catch (const ConfigError&) {
    throw;
  } catch (const OutputError&) {
    throw;
  } catch (const UnsupportedError& error) {
    end_with(Status::kUnsupported, error.what());
  } catch (const c10::OutOfMemoryError& error) {
    end_with(Status::kOom, error.what_without_backtrace());
  } catch (const std::bad_alloc& error) {
    end_with(Status::kOom, error.what());
  } catch (const c10::Error& error) {
    end_with(Status::kFailed, error.what_without_backtrace());
  }
  return result;
}

}  // namespace attnlab::training
