// What crosses between the runner and a worker, as text.
#pragma once

#include <string>
#include <vector>

#include "experiments/runner/grid.h"
#include "experiments/runner/trial.h"

namespace attnlab::runner {

/// The task of a worker: one trial, and the plugins that its variant may come from.
struct WorkerTask {
  Trial trial;  ///< of it, config_yaml is sent and parsed again
  std::vector<std::string> plugins;
};

std::string encode_task(const WorkerTask& task);
/// Throws ConfigError for text that is no task.
WorkerTask decode_task(const std::string& text);

/// The result without its output, which takes another way.
std::string encode_result(const TrialResult& result);
/// Throws ConfigError for text that is no result.
TrialResult decode_result(const std::string& text);

}  // namespace attnlab::runner
