// A whole trial of `direction: train`: learn the task, choose the learning rate, test once.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "analysis/record.h"
#include "experiments/config/schema.h"
#include "variants/api/registry.h"

namespace attnlab::training {

struct TrainTrialOptions {
  std::string identity;  ///< of the trial and the program; a checkpoint of another one is not used
  /// Where curve.csv, evaluations.csv, weights.pt and, with train.diagnose, diagnostics.csv are
  /// written, and the checkpoint while it trains; empty = nowhere.
  std::filesystem::path folder;
  std::function<void(const std::string&)> report = [](const std::string&) {};
};

struct TrainTrialResult {
  /// status, reason, kernel, time_* (of an update), samples, peak_bytes, task, metric,
  /// metric_value, metric_ci, train_tokens_per_s. The others are the caller's.
  analysis::Record record;
  std::vector<double> samples_ms;  ///< of the last updates
  std::string notes;               ///< a JSON object: {"training": {"lr": 0.001, ...}}
};

/// A model that looks ahead (causality.h) has the status wrong, and what the last look inside flags
/// is in the reason of an ok row. What else goes wrong is a status and a reason, as in
/// measure_trial; ConfigError and OutputError are thrown on. Threads are the caller's affair.
/// dtype bfloat16: training, every evaluation and the check that no logit sees a later token run
/// under autocast, which is what was trained; that check then sees what changes a logit of eight
/// bits. Weights, optimiser, checkpoint and loss are float32.
TrainTrialResult train_trial(const config::TrialConfig& config, const Registry& registry,
                             const TrainTrialOptions& options);

/// The headers of curve.csv, diagnostics.csv (layer -1: outside of layers; head -1: all of a layer)
/// and evaluations.csv.
inline constexpr const char* kCurveHeader = "lr,step,learning_rate,loss,gradient_norm,validation\n";
inline constexpr const char* kDiagnosticsHeader = "lr,step,layer,head,quantity,value\n";
inline constexpr const char* kEvaluationsHeader =
    "test,answered_by,slice,metric,value,ci,samples\n";

}  // namespace attnlab::training
