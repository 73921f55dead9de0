#include "experiments/runner/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "experiments/config/emit_yaml.h"
#include "experiments/measure/inputs.h"
#include "experiments/runner/sha256.h"
#include "experiments/training/learned_task.h"
#include "kernels/core/error.h"
#include "kernels/ops/device.h"

namespace attnlab::runner {
namespace {

constexpr std::size_t kHashDigits = 16;

/// "run.dir" of "++run.dir=x".
std::string_view override_key(std::string_view word) {
  word.remove_prefix(std::min(word.find_first_not_of("+~"), word.size()));
  return word.substr(0, word.find('='));
}

std::string lengths(const config::TrialConfig& config, const char* separator) {
  if (config.seqlen_q == config.seqlen_k) return std::to_string(config.seqlen_q);
  return fmt::format("{}{}{}", config.seqlen_q, separator, config.seqlen_k);
}

/// run.dir is left out: a rerun gets a folder of its own.
std::string make_repro(const config::Job& job, const ReproContext& context) {
  const auto absolute = [](const std::string& path) {
    return shell_quote(std::filesystem::absolute(path).string());
  };
  std::string command = "./attnlab run";
  if (!context.config_dir.empty()) command += " --config-dir " + absolute(context.config_dir);
  if (!context.config_name.empty()) command += " --config-name " + shell_quote(context.config_name);
  for (const std::string& plugin : context.plugins) command += " --plugin " + absolute(plugin);
  for (const std::string& word : job.overrides) {
    if (override_key(word) != "run.dir") command += " " + shell_quote(word);
  }
  return command;
}

/// Loads the CUDA half where a trial asks for it, before any trial runs.
void check_device(const config::TrialConfig& config) {
  if (config.device == "cuda") ops::cuda_device();
}

void check_kind(const config::TrialConfig& config) {
  if (!is_training(config) || !is_search(config)) return;
  throw ConfigError(
      "[run] kind = longest searches with operators; direction = train cannot be searched. Write "
      "direction=forward_backward, or kind=measure.");
}

/// The options of a row also say which model had the variant.
void settle_one(Trial& trial, const Registry& registry) {
  training::settle_training(trial.config, registry);
  auto options = nlohmann::ordered_json::parse(trial.options_json);
  options.update(nlohmann::ordered_json::parse(training::model_json(trial.config.model)));
  trial.options_json = options.dump();
}

/// Of a training: neither the shape of an operator nor how one is measured.
nlohmann::json canonical_training(const config::TrialConfig& config,
                                  const std::string& options_json) {
  nlohmann::json task_options = nlohmann::json::object();
  for (const auto& [name, value] : config.task_options) {
    std::visit([&, &key = name](const auto& v) { task_options[key] = v; }, value);
  }
  const config::ModelConfig& model = config.model;
  const config::TrainConfig& train = config.train;
  return {{"direction", config.direction},
          {"variant", config.variant},
          {"variant_options", nlohmann::json::parse(options_json)},
          {"dtype", config.dtype},
          {"device", config.device},
          {"seed", config.seed},
          {"threads", config.threads},
          {"measure_time", config.measure_time},
          {"memory_limit_bytes", config.memory_limit_bytes},
          {"time_limit_s", config.time_limit_s},
          {"task", config.task},
          {"task_options", task_options},
          {"model",
           {{"layers", model.layers},
            {"depth", model.depth},
            {"dim", model.dim},
            {"heads", model.heads},
            {"mlp_ratio", model.mlp_ratio},
            {"positions", model.positions},
            {"max_seqlen", model.max_seqlen}}},
          {"train",
           {{"steps", train.steps},
            {"batch", train.batch},
            {"examples", train.examples},
            {"lr", train.lr},
            {"weight_decay", train.weight_decay},
            {"beta2", train.beta2},
            {"warmup", train.warmup},
            {"clip", train.clip},
            {"accumulate", train.accumulate},
            {"eval_every", train.eval_every},
            {"eval_samples", train.eval_samples},
            {"test_samples", train.test_samples},
            {"stop_at", train.stop_at},
            {"patience", train.patience},
            {"tests", train.tests},
            {"diagnose", train.diagnose}}}};
}

}  // namespace

std::vector<Trial> expand_grid(const std::vector<config::Job>& jobs, const Registry& registry,
                               const ReproContext& context) {
  std::vector<Trial> trials;
  trials.reserve(jobs.size());
  for (const config::Job& job : jobs) {
    Trial trial;
    trial.config = config::parse_trial(job.config);
    trial.config_yaml = config::emit_yaml(job.config);
    check_device(trial.config);
    check_kind(trial.config);
    const Options checked_inputs("inputs " + trial.config.inputs,
                                 measure::inputs_specs(trial.config.inputs),
                                 trial.config.inputs_options);
    const auto variant = registry.make(trial.config.variant, trial.config.variant_options);
    trial.options_json = variant->options().to_json();
    if (is_training(trial.config)) settle_one(trial, registry);
    trial.trial_id = make_trial_id(trials.size() + 1, jobs.size(), trial.config);
    trial.config_hash = trial_hash(trial.config, trial.options_json);
    trial.repro = make_repro(job, context);
    trials.push_back(std::move(trial));
  }
  return trials;
}

void settle(std::vector<Trial>& trials, const Registry& registry) {
  for (Trial& trial : trials) {
    if (is_training(trial.config)) training::settle_training(trial.config, registry);
  }
}

void check_devices(const std::vector<Trial>& trials) {
  for (const Trial& trial : trials) check_device(trial.config);
}

std::vector<std::string> trial_ids(const std::vector<Trial>& trials) {
  std::vector<std::string> ids;
  for (const Trial& trial : trials) ids.push_back(trial.trial_id);
  return ids;
}

std::string canonical_trial(const config::TrialConfig& config, const std::string& options_json) {
  if (is_training(config)) return canonical_training(config, options_json).dump();
  nlohmann::json inputs_options = nlohmann::json::object();
  for (const auto& [name, value] : config.inputs_options) {
    std::visit([&, &key = name](const auto& v) { inputs_options[key] = v; }, value);
  }
  nlohmann::json object = {
      {"variant", config.variant},
      {"variant_options", nlohmann::json::parse(options_json)},
      {"batch", config.batch},
      {"heads", config.heads},
      {"kv_heads", config.kv_heads},
      {"seqlen_q", config.seqlen_q},
      {"seqlen_k", config.seqlen_k},
      {"head_dim", config.head_dim},
      {"head_dim_v", config.head_dim_v},
      {"direction", config.direction},
      {"dtype", config.dtype},
      {"device", config.device},
      {"causal", config.causal},
      {"seed", config.seed},
      {"threads", config.threads},
      {"inputs", config.inputs},
      {"inputs_options", inputs_options},
      {"max_time_s", config.max_time_s},
      {"warmup_s", config.warmup_s},
      {"min_samples", config.min_samples},
      {"max_samples", config.max_samples},
      {"rel_width", config.rel_width},
      {"measure_time", config.measure_time},
      {"pin", config.pin},
      {"error_rows", config.error_rows},
      {"memory_limit_bytes", config.memory_limit_bytes},
      {"time_limit_s", config.time_limit_s},
  };
  if (config.device == "cuda") object["l2_flush"] = config.l2_flush;
  if (is_search(config)) {
    if (config.seqlen_q == config.seqlen) object.erase("seqlen_q");
    if (config.seqlen_k == config.seqlen) object.erase("seqlen_k");
    const config::LongestConfig& longest = config.longest;
    object["longest"] = {{"start", longest.start},
                         {"max", longest.max},
                         {"granularity", longest.granularity},
                         {"resolution", longest.resolution},
                         {"time_ms", longest.time_ms}};
  }
  return object.dump();
}

bool is_search(const config::TrialConfig& config) { return config.kind == "longest"; }
bool is_training(const config::TrialConfig& config) { return config.direction == "train"; }

std::string trial_hash(const config::TrialConfig& config, const std::string& options_json) {
  return sha256_hex(canonical_trial(config, options_json)).substr(0, kHashDigits);
}

std::string trial_name(const config::TrialConfig& config) {
  if (is_search(config)) return fmt::format("{}_longest_{}", config.variant, config.direction);
  return fmt::format("{}_n{}_{}", config.variant, lengths(config, "x"), config.direction);
}

std::string make_trial_id(std::size_t number, std::size_t total,
                          const config::TrialConfig& config) {
  const std::size_t width = std::max<std::size_t>(3, std::to_string(total).size());
  return fmt::format("{:0{}}_{}", number, width, trial_name(config));
}

std::string trial_label(const config::TrialConfig& config) {
  if (is_search(config)) return fmt::format("{} longest {}", config.variant, config.direction);
  return fmt::format("{} n={} {}", config.variant, lengths(config, "x"), config.direction);
}

std::string shell_quote(const std::string& word) {
  constexpr std::string_view kSafe =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./=:,+@%-";
  if (!word.empty() && word.find_first_not_of(kSafe) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace attnlab::runner
