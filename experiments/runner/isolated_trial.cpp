#include "experiments/runner/isolated_trial.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <ctime>
#include <exception>
#include <fstream>
#include <limits>

#include "analysis/format.h"
#include "experiments/measure/memory.h"
#include "experiments/process/frame.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/worker_messages.h"
#include "kernels/core/error.h"

namespace attnlab::runner {
namespace {

using analysis::Status;

// The limit is for the trial; the process around it needs a moment to start and to load plugins.
constexpr double kStartSeconds = 5;
// Libraries, thread stacks and allocator, before there are tensors.
constexpr std::int64_t kProgramBytes = std::int64_t{2} << 30;

TrialResult ended(Status status, std::string reason) {
  TrialResult result;
  result.record.status = status;
  result.record.reason = std::move(reason);
  return result;
}

/// What the process may hold: limits.memory binds its tensors, but not what a variant allocates
/// beside them, nor our references in float64. Without one, all that is free now. 0 = no limit;
/// also for tensors on another device, whose memory is not resident.
std::int64_t process_limit(const config::TrialConfig& config) {
  if (config.device != "cpu") return 0;
  if (config.memory_limit_bytes == 0) return measure::available_memory_bytes().value_or(0);
  const double row = 8.0 * static_cast<double>(std::max(config.head_dim, config.head_dim_v));
  const double references = 8.0 * row * static_cast<double>(config.batch * config.heads) *
                            static_cast<double>(config.seqlen_q + config.seqlen_k);
  const double limit = static_cast<double>(config.memory_limit_bytes) + references +
                       static_cast<double>(kProgramBytes);
  return limit < 9e18 ? static_cast<std::int64_t>(limit) : 0;
}

std::string beyond_memory(std::int64_t held, std::int64_t allowed,
                          const config::TrialConfig& config) {
  const std::string why =
      config.memory_limit_bytes == 0
          ? std::string("all that was free when it started; limits.memory bounds it sooner")
          : fmt::format("limits.memory is {}, and something for the program and the reference",
                        analysis::format_bytes(config.memory_limit_bytes));
  return fmt::format("ended: its process held {}, allowed are {} ({})",
                     analysis::format_bytes(held), analysis::format_bytes(allowed), why);
}

/// Processes that the system has killed for want of memory since it started; 0 where it does not
/// say.
std::int64_t system_oom_kills() {
  std::ifstream file("/proc/vmstat");
  std::string name;
  std::int64_t value = 0;
  while (file >> name >> value) {
    if (name == "oom_kill") return value;
  }
  return 0;
}

/// "signal 11 (Segmentation fault)".
std::string signal_text(int signal) {
  const char* description = ::sigdescr_np(signal);
  return fmt::format("signal {} ({})", signal, description == nullptr ? "unknown" : description);
}

/// The last line of what it wrote, which is where programs say why they die.
std::string last_words(const std::string& output) {
  const std::size_t end = output.find_last_not_of(" \n\r\t");
  if (end == std::string::npos) return {};
  const std::size_t begin = output.find_last_of("\n\r", end);
  constexpr std::size_t kLongest = 200;
  const std::string line = output.substr(begin == std::string::npos ? 0 : begin + 1, end - begin);
  const bool printable = std::ranges::all_of(
      line, [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; });
  return printable ? ": " + line.substr(0, kLongest) : std::string();
}

TrialResult without_result(const process::ChildResult& child, const std::string& problem) {
  if (child.exit_code != 0) {
    return ended(Status::kCrashed,
                 fmt::format("its process exited with code {} before the result{}", child.exit_code,
                             last_words(child.output)));
  }
  return ended(Status::kFailed,
               fmt::format("its process ended without a whole result: received {}", problem));
}

}  // namespace

TrialResult interpret(const process::ChildResult& child, const config::TrialConfig& config,
                      std::int64_t memory_limit_bytes, std::int64_t oom_kills) {
  switch (child.end) {
    case process::ChildEnd::kTimedOut:
      return ended(Status::kTimeout, fmt::format("ended after {:.1f} s: limits.time_s is {:.3g}",
                                                 child.duration_s, config.time_limit_s));
    case process::ChildEnd::kOutOfMemory:
      return ended(Status::kOom, beyond_memory(child.peak_rss_bytes, memory_limit_bytes, config));
    case process::ChildEnd::kSignalled:
      if (child.signal == SIGKILL && oom_kills > 0) {
        return ended(Status::kOom, fmt::format("killed by the system for want of memory; its "
                                               "process held {}",
                                               analysis::format_bytes(child.peak_rss_bytes)));
      }
      return ended(Status::kCrashed,
                   fmt::format("its process was ended by {}{}", signal_text(child.signal),
                               last_words(child.output)));
    case process::ChildEnd::kExited: break;
  }
  const process::DecodedFrame frame = process::decode_frame(child.result);
  if (!frame.ok) return without_result(child, frame.problem);
  try {
    return decode_result(frame.payload);
  } catch (const Error& error) {
    return ended(Status::kFailed, error.what());
  }
}

TrialResult run_isolated_trial(const Trial& trial, const IsolationContext& context,
                               const RunIdentity& run) {
  process::ChildRequest request;
  request.arguments = {context.program, "worker", std::to_string(::getpid())};
  request.input = encode_task({trial, context.plugins});
  if (trial.config.time_limit_s > 0) {
    request.time_limit_s = trial.config.time_limit_s + kStartSeconds;
  }
  request.memory_limit_bytes = process_limit(trial.config);
  std::string begun;  // of a line
  if (context.on_progress && is_training(trial.config)) {
    request.on_output = [&](std::string_view bytes) {
      for (const char c : bytes) {
        if (c != '\n') {
          begun += c;
          continue;
        }
        context.on_progress(trial, begun);
        begun.clear();
      }
    };
  }
  const std::string started_utc = utc_time(std::time(nullptr));
  const std::int64_t kills_before = system_oom_kills();

  TrialResult result;
  double duration_s = 0;
  try {
    const process::ChildResult child = process::run_child(request);
    result = interpret(child, trial.config, request.memory_limit_bytes,
                       system_oom_kills() - kills_before);
    result.output = child.output;
    duration_s = child.duration_s;
  } catch (const std::exception& error) {
    result = ended(Status::kFailed, error.what());
  }
  describe(trial, run, result.record);
  if (result.record.started_utc.empty()) result.record.started_utc = started_utc;
  if (!result.record.duration_s) result.record.duration_s = duration_s;
  return result;
}

}  // namespace attnlab::runner
