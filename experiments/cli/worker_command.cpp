#include "experiments/cli/worker_command.h"

#include <fmt/format.h>

#include <charconv>
#include <iostream>
#include <iterator>
#include <string>

#include "experiments/cli/context.h"
#include "experiments/process/child_process.h"
#include "experiments/process/frame.h"
#include "experiments/runner/worker_messages.h"
#include "kernels/core/error.h"
#include "kernels/ops/device.h"

namespace attnlab::cli {
namespace {

pid_t parse_parent(const std::string& text) {
  pid_t parent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parent);
  if (error == std::errc() && end == text.data() + text.size() && parent > 0) return parent;
  throw ConfigError(fmt::format(
      "[worker] '{}' is no process number. `worker` is how `attnlab run` starts its trials, not a "
      "command to call.",
      text));
}

}  // namespace

int worker_command(const Arguments& arguments) {
  constexpr int kExitFailed = 1;
  if (!process::die_with_parent(parse_parent(arguments.parent))) return kExitFailed;
  process::be_killed_first();
  const std::string text(std::istreambuf_iterator<char>(std::cin), {});
  const runner::WorkerTask task = runner::decode_task(text);
  const LoadedRegistry loaded = load_registry(task.plugins);
  if (task.trial.config.device == "cuda") ops::cuda_device();
  const runner::TrialResult result =
      runner::measure_here(task.trial, loaded.registry, runner::Pinning::kAsConfigured);
  const std::string frame = process::encode_frame(runner::encode_result(result));
  return process::write_all(process::kResultDescriptor, frame) ? 0 : kExitFailed;
}

}  // namespace attnlab::cli
