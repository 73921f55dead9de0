// Runs a trial in a process of its own: whatever it does, the run goes on, and the trial becomes a
// row with a status and a reason.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "experiments/process/child_process.h"
#include "experiments/runner/trial.h"

namespace attnlab::runner {

struct IsolationContext {
  std::vector<std::string> plugins;  ///< loaded by the worker before the trial
  /// The program that is started with the words `worker <this process>`: normally this program.
  std::string program = "/proc/self/exe";
  /// Called with the lines in which a training says how far it is.
  std::function<void(const Trial&, const std::string& line)> on_progress = nullptr;
};

/// Statuses besides those of run_trial: timeout where the worker was still running some seconds
/// after limits.time_s, oom where its process grew far beyond limits.memory (which binds the
/// tensors in the worker itself) or the system's out-of-memory killer took it, crashed where it
/// ended without a result, failed where the result was damaged.
TrialResult run_isolated_trial(const Trial& trial, const IsolationContext& context,
                               const RunIdentity& run);

/// What the end of a worker says about its trial; `oom_kills` = processes that the system killed
/// for want of memory meanwhile.
TrialResult interpret(const process::ChildResult& child, const config::TrialConfig& config,
                      std::int64_t memory_limit_bytes, std::int64_t oom_kills);

}  // namespace attnlab::runner
