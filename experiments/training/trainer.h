// The training loop: one model, one learning rate after the other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "experiments/config/schema.h"
#include "experiments/models/diagnostics.h"
#include "experiments/models/transformer.h"
#include "experiments/tasks/task.h"

namespace attnlab::training {

/// A point of the training curve, at each look at the validation part.
struct CurvePoint {
  double lr = 0;             ///< the highest of this training
  std::int64_t step = 0;     ///< updates done
  double learning_rate = 0;  ///< of the last update
  double loss = 0;           ///< nats per answer, mean over the updates since the last point
  double gradient_norm = 0;  ///< before clipping, mean over them
  double validation = 0;     ///< the task's metric
};

/// What the last update before a look did inside the model.
struct LookInside {
  double lr = 0;
  DiagnosticRow row;
};

struct TrainResult {
  double best_lr = 0;           ///< of which the model has the weights
  double validation = 0;        ///< the metric at the end of that training
  std::int64_t steps = 0;       ///< updates of that training
  std::int64_t peak_bytes = 0;  ///< of tensors on the model's device, while training
  std::vector<CurvePoint> curve;
  std::vector<LookInside> looks_inside;  ///< with train.diagnose
  std::vector<double> step_ms;  ///< the last updates, at most 1000: batch, passes and update
  double tokens_per_s = 0;
};

struct TrainRequest {
  config::TrainConfig config;
  std::uint64_t seed = 0;
  std::string identity;              ///< of the trial, for the checkpoint
  std::filesystem::path checkpoint;  ///< empty = none is kept
  /// Called with a line about the progress, at most once in some seconds and at every end.
  std::function<void(const std::string&)> report = [](const std::string&) {};
};

/// Makes a model with fresh weights, the same each time.
using ModelFactory = std::function<SequenceModel()>;

/// Trains with AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101; no decay for vectors) once per
/// learning rate, each time from fresh weights, and returns the model that the validation part
/// likes best. Goes on from the checkpoint where there is one of this identity: on the CPU to the
/// same bits as without the interruption. A training whose loss is no longer finite ends there, and
/// counts as the worst; DivergedError where all of them do. The checkpoint is removed by the
/// caller.
TrainResult train(const TrainRequest& request, const tasks::Task& task, const ModelFactory& make,
                  SequenceModel& best);

}  // namespace attnlab::training
