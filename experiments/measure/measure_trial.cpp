#include "experiments/measure/measure_trial.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>
#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "analysis/format.h"
#include "experiments/measure/accuracy.h"
#include "experiments/measure/gradients.h"
#include "experiments/measure/memory.h"
#include "experiments/measure/memory_pass.h"
#include "experiments/measure/noise.h"
#include "kernels/core/error.h"
#include "kernels/ops/device.h"
#include "variants/api/declared_tensors.h"

namespace attnlab::measure {
namespace {

using analysis::Record;
using analysis::Status;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

void end_with(Record& record, Status status, const std::string& reason) {
  record.status = status;
  record.reason = first_line(reason);
}

void fill_plan(const Plan& plan, Record& record) {
  record.kernel = plan.kernel_name;
  record.flops = plan.flops;
  record.bytes = plan.bytes;
  record.predicted_bytes = plan.predicted_bytes();
}

void fill_memory(const MemoryUse& use, Record& record) {
  record.peak_bytes = use.peak;
  record.input_bytes = use.input;
  record.output_bytes = use.output;
  record.saved_bytes = use.saved;
  record.workspace_bytes = use.workspace;
}

void fill_accuracy(const AccuracyResult& accuracy, Record& record) {
  record.error_out = accuracy.error_out;
  record.error_dq = accuracy.error_dq;
  record.error_dk = accuracy.error_dk;
  record.error_dv = accuracy.error_dv;
  record.error_ratio = accuracy.error_ratio;
  record.approx_error = accuracy.approx_error;
}

void fill_speed(const SpeedResult& speed, Record& record) {
  record.time_median_ms = speed.median_ms;
  record.time_p10_ms = speed.p10_ms;
  record.time_p90_ms = speed.p90_ms;
  record.time_ci_low_ms = speed.ci_low_ms;
  record.time_ci_high_ms = speed.ci_high_ms;
  record.samples = static_cast<std::int64_t>(speed.samples_ms.size());
  const double seconds = speed.median_ms * 1e-3;
  if (seconds > 0 && record.flops) record.tflops = *record.flops / seconds * 1e-12;
  if (seconds > 0 && record.bytes) {
    record.gbps = static_cast<double>(*record.bytes) / seconds * 1e-9;
  }
}

SpeedResult time_direction(const Variant& variant, const TrialInputs& made, const Problem& problem,
                           const SpeedOptions& options) {
  const auto time = [&](const std::function<void()>& run) {
    return problem.device == at::kCUDA ? measure_device_speed(ops::cuda_device(), run, options)
                                       : measure_speed(run, options);
  };
  if (problem.direction == Direction::kForward) {
    const at::NoGradGuard no_grad;
    return time([&] { variant.forward(made.inputs); });
  }
  const Inputs leaves = with_gradients(made.inputs);
  if (problem.direction == Direction::kForwardBackward) {
    return time([&] { backward(variant.forward(leaves).out, leaves, made.grad_out); });
  }
  const Outputs outputs = variant.forward(leaves);
  constexpr bool kKeepGraph = true;
  return time([&] { backward(outputs.out, leaves, made.grad_out, kKeepGraph); });
}

/// Libraries take workspaces once and keep them (cuBLAS, per thread): not the variant's.
void run_once(const Variant& variant, const TrialInputs& made, const Problem& problem) {
  if (!problem.with_backward()) {
    const at::NoGradGuard no_grad;
    variant.forward(made.inputs);
    return;
  }
  const Inputs leaves = with_gradients(made.inputs);
  backward(variant.forward(leaves).out, leaves, made.grad_out);
}

bool is_measured_here(Direction direction) {
  return direction == Direction::kForward || direction == Direction::kBackward ||
         direction == Direction::kForwardBackward;
}

void measure(const Variant& variant, const Problem& problem, const MeasureOptions& options,
             const InputsRequest& request, TrialMeasurement& trial) {
  Record& record = trial.record;
  const Support support = variant.supports(problem);
  if (!support.ok) return end_with(record, Status::kUnsupported, support.reason);
  const bool on_cuda = problem.device == at::kCUDA;
  if (!is_measured_here(problem.direction) || (problem.device != at::kCPU && !on_cuda)) {
    return end_with(
        record, Status::kUnsupported,
        fmt::format("[measure] {} on {} is not measured; allowed: forward, backward, "
                    "forward_backward on cpu or cuda",
                    direction_name(problem.direction), c10::DeviceTypeName(problem.device, true)));
  }
  if (on_cuda) ops::cuda_device().release_cached_memory();
  const Plan plan = variant.plan(problem);
  fill_plan(plan, record);
  constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::max();
  const std::int64_t available = available_memory_bytes(problem.device).value_or(kUnknown);
  const std::int64_t limit =
      options.memory_limit_bytes > 0 ? options.memory_limit_bytes : available;
  if (plan.predicted_bytes() > limit) {
    return end_with(
        record, Status::kOom,
        fmt::format("not started: needs about {}, {} {}; raise limits.memory or shorten "
                    "the sequence",
                    analysis::format_bytes(plan.predicted_bytes()),
                    options.memory_limit_bytes > 0 ? "the limit is" : "available are",
                    analysis::format_bytes(limit)));
  }

  const std::int64_t before = live_bytes(problem.device);
  TrialInputs made = make_inputs(request);
  at::Generator generator = at::detail::createCPUGenerator(request.seed);
  made.inputs.extra = make_declared_tensors(variant.info(), problem, generator);
  // The counting allocator limits tensors of the CPU; a device limits its own, and an explicit
  // limit below that is looked at once the peak is known.
  const std::int64_t left = on_cuda ? kUnknown : limit - (live_bytes(problem.device) - before);
  {
    const AllocationLimit allocation_limit(left);
    const bool rss_is_fresh = reset_peak_rss();
    if (on_cuda) run_once(variant, made, problem);
    fill_memory(measure_memory(variant, made.inputs, made.grad_out, problem), record);
    if (rss_is_fresh) record.peak_rss_bytes = peak_rss_bytes();
  }
  if (on_cuda && options.memory_limit_bytes > 0 && *record.peak_bytes > limit) {
    return end_with(
        record, Status::kOom,
        fmt::format("took {}, the limit is {}; raise limits.memory or shorten the "
                    "sequence",
                    analysis::format_bytes(*record.peak_bytes), analysis::format_bytes(limit)));
  }
  {
    // The references are ours, not the variant's: only the machine limits them.
    const AllocationLimit allocation_limit(on_cuda ? kUnknown : available);
    const AccuracyResult accuracy =
        measure_accuracy(variant, made.inputs, made.grad_out, problem,
                         {.rows = options.error_rows, .seed = request.seed});
    fill_accuracy(accuracy, record);
    if (!accuracy.passed) return end_with(record, Status::kWrong, accuracy.reason);
  }
  const AllocationLimit allocation_limit(left);
  record.status = Status::kOk;
  if (!options.measure_time) return;
  const NoiseWatch watch(options.pin_threads);
  SpeedResult speed = time_direction(variant, made, problem, options.speed);
  std::optional<ops::DeviceClocks> clocks;
  if (on_cuda) clocks = ops::cuda_device().clocks();
  const Noise noise = watch.finish(speed, clocks ? &*clocks : nullptr);
  fill_speed(speed, record);
  record.reason = noise_reason(noise);
  trial.samples_ms = std::move(speed.samples_ms);
  trial.notes = nlohmann::ordered_json{{"noise", to_json(noise)}}.dump();
}

}  // namespace

TrialMeasurement measure_trial(const Variant& variant, const Problem& problem,
                               const MeasureOptions& options, InputsRequest inputs) {
  install_counting_allocator();
  inputs.problem = problem;
  TrialMeasurement trial;
  try {
    measure(variant, problem, options, inputs, trial);
  } catch (const ConfigError&) {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    end_with(trial.record, Status::kOom, error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    end_with(trial.record, Status::kOom, "[measure] the machine has no more memory");
  } catch (const UnsupportedError& error) {
    end_with(trial.record, Status::kUnsupported, error.what());
  } catch (const c10::Error& error) {
    end_with(trial.record, Status::kFailed, error.what_without_backtrace());
  } catch (const std::exception& error) {
    end_with(trial.record, Status::kFailed, error.what());
  }
  return trial;
}

}  // namespace attnlab::measure
