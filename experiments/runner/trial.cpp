#include "experiments/runner/trial.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <sched.h>

#include <chrono>
#include <ctime>
#include <exception>
#include <iostream>
#include <thread>
#include <utility>

#include "experiments/measure/measure_trial.h"
#include "experiments/runner/run_folder.h"
#include "experiments/training/train_trial.h"

namespace attnlab::runner {
namespace {

void fill_configuration(const Trial& trial, analysis::Record& record) {
  const config::TrialConfig& config = trial.config;
  record.trial_id = trial.trial_id;
  record.config_hash = trial.config_hash;
  record.experiment = config.experiment;
  record.variant = config.variant;
  record.options = trial.options_json;
  record.device = config.device;
  record.dtype = config.dtype;
  record.direction = config.direction;
  record.batch = config.batch;
  record.heads = config.heads;
  record.kv_heads = config.kv_heads;
  record.seqlen_q = config.seqlen_q;
  record.seqlen_k = config.seqlen_k;
  record.head_dim = config.head_dim;
  record.causal = config.causal;
  record.inputs = config.inputs;
  record.seed = config.seed;
  record.threads = effective_threads(config.threads);
  record.attempt = 1;
  record.repro = trial.repro;
}

measure::MeasureOptions measure_options(const config::TrialConfig& config, Pinning pinning) {
  measure::MeasureOptions options;
  options.speed.warmup_s = config.warmup_s;
  options.speed.max_time_s = config.max_time_s;
  options.speed.min_samples = config.min_samples;
  options.speed.max_samples = config.max_samples;
  options.speed.rel_width = config.rel_width;
  options.speed.l2_flush = config.l2_flush;
  options.measure_time = config.measure_time;
  if (pinning == Pinning::kAsConfigured && config.pin) {
    options.pin_threads = effective_threads(config.threads);
  }
  options.error_rows = config.error_rows;
  options.memory_limit_bytes = config.memory_limit_bytes;
  return options;
}

measure::InputsRequest inputs_request(const config::TrialConfig& config) {
  measure::InputsRequest request;
  request.name = config.inputs;
  request.options = config.inputs_options;
  request.seed = config.seed;
  return request;
}

/// Messages of Torch carry a stack trace from the second line on.
std::string first_line(const char* text) {
  const std::string message(text);
  return message.substr(0, message.find('\n'));
}

TrialResult measure_operator(const Trial& trial, const Registry& registry, Pinning pinning) {
  const Problem problem = make_problem(trial.config);
  const auto variant = registry.make(trial.config.variant, trial.config.variant_options);
  at::set_num_threads(problem.threads);
  measure::TrialMeasurement measured = measure::measure_trial(
      *variant, problem, measure_options(trial.config, pinning), inputs_request(trial.config));
  return {std::move(measured.record), std::move(measured.samples_ms), std::move(measured.notes)};
}

TrialResult train_here(const Trial& trial, const Registry& registry) {
  at::set_num_threads(effective_threads(trial.config.threads));
  training::TrainTrialOptions options;
  options.identity = trial.resume_key;
  options.folder = trial.folder;
  options.report = [](const std::string& line) { std::cerr << line + "\n" << std::flush; };
  training::TrainTrialResult trained = training::train_trial(trial.config, registry, options);
  return {std::move(trained.record), std::move(trained.samples_ms), std::move(trained.notes)};
}

/// The row keeps what was measured of memory and error; its times are not those of a passed trial.
void mark_timeout(double limit_s, TrialResult& result) {
  analysis::Record& record = result.record;
  record.status = analysis::Status::kTimeout;
  record.reason = fmt::format("took {:.3g} s, limits.time_s is {:.3g} (looked at when it ended)",
                              record.duration_s.value(), limit_s);
  for (auto* value :
       {&record.time_median_ms, &record.time_p10_ms, &record.time_p90_ms, &record.time_ci_low_ms,
        &record.time_ci_high_ms, &record.tflops, &record.gbps}) {
    value->reset();
  }
  record.samples.reset();
  result.samples_ms.clear();
}

}  // namespace

Problem make_problem(const config::TrialConfig& config) {
  Problem problem;
  problem.batch = config.batch;
  problem.heads = config.heads;
  problem.kv_heads = config.kv_heads;
  problem.seqlen_q = config.seqlen_q;
  problem.seqlen_k = config.seqlen_k;
  problem.head_dim = config.head_dim;
  problem.head_dim_v = config.head_dim_v;
  problem.dtype = parse_dtype(config.dtype);
  problem.device = config.device == "cuda" ? at::kCUDA : at::kCPU;
  problem.causal = config.causal;
  problem.direction = parse_direction(config.direction);
  problem.threads = effective_threads(config.threads);
  return problem;
}

int effective_threads(int threads) {
  if (threads > 0) return threads;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0) return CPU_COUNT(&allowed);
  return static_cast<int>(std::thread::hardware_concurrency());
}

TrialResult measure_here(const Trial& trial, const Registry& registry, Pinning pinning) {
  const auto started = std::chrono::steady_clock::now();
  const std::string started_utc = utc_time(std::time(nullptr));
  TrialResult result;
  try {
    if (is_training(trial.config)) {
      result = train_here(trial, registry);
    } else {
      result = measure_operator(trial, registry, pinning);
    }
  } catch (const std::exception& error) {
    result = {};
    result.record.status = analysis::Status::kFailed;
    result.record.reason = first_line(error.what());
  }
  result.record.started_utc = started_utc;
  result.record.duration_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  const double limit_s = trial.config.time_limit_s;
  const bool passed = result.record.status == analysis::Status::kOk;
  if (passed && limit_s > 0 && result.record.duration_s > limit_s) mark_timeout(limit_s, result);
  return result;
}

void describe(const Trial& trial, const RunIdentity& run, analysis::Record& record) {
  fill_configuration(trial, record);
  measure::fill_environment(run.environment, record);
  if (trial.config.device == "cuda" && run.environment.gpu) {
    record.gpu_model = run.environment.gpu->name;
  }
  record.run_id = run.run_id;
}

TrialResult run_trial(const Trial& trial, const Registry& registry, const RunIdentity& run) {
  TrialResult result = measure_here(trial, registry, Pinning::kNo);
  describe(trial, run, result.record);
  return result;
}

}  // namespace attnlab::runner
