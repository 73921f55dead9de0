#include "experiments/runner/trial.h"

#include <ATen/Parallel.h>
#include <sched.h>

#include <chrono>
#include <ctime>
#include <exception>
#include <thread>

#include "experiments/measure/environment.h"
#include "experiments/measure/measure_trial.h"
#include "experiments/runner/run_folder.h"

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

/// Messages of Torch carry a stack trace from the second line on.
std::string first_line(const char* text) {
  const std::string message(text);
  return message.substr(0, message.find('\n'));
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

}  // namespace attnlab::runner
