#include "experiments/training/learned_task.h"

#include <ATen/Context.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "experiments/config/scalar.h"
#include "experiments/tasks/registry.h"
#include "kernels/core/error.h"

namespace attnlab::training {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

OptionValue option_of(const std::string& text) {
  const config::Tree value = config::resolve_override_scalar(text, {});
  switch (value.kind()) {
    case config::Tree::Kind::kBool: return value.as_bool();
    case config::Tree::Kind::kInt: return value.as_int();
    case config::Tree::Kind::kFloat: return value.as_float();
    default: return text;
  }
}

/// "sliding_window window=16". Without options those of the trial count, where it names the same
/// variant.
std::unique_ptr<Variant> make_layer(const std::string& text, const config::TrialConfig& config,
                                    const Registry& registry) {
  const std::vector<std::string> words = words_of(text);
  if (words.empty()) {
    throw ConfigError(
        "[model] model.layers has an empty entry; each names a variant: full, "
        "'sliding_window window=16'.");
  }
  if (words.size() == 1 && words[0] == config.variant) {
    return registry.make(config.variant, config.variant_options);
  }
  config::OptionMap options;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    if (equals == std::string::npos || equals == 0) {
      throw ConfigError(
          fmt::format("[model] model.layers: '{}' in '{}' is no option; write a variant and its "
                      "options with blanks between them: 'sliding_window window=16'.",
                      words[i], text));
    }
    options[words[i].substr(0, equals)] = option_of(words[i].substr(equals + 1));
  }
  return registry.make(words[0], options);
}

void check_precision(const config::TrialConfig& config) {
  if (config.dtype != "float16") return;
  throw ConfigError(
      "[train] dtype = float16: its smallest numbers would lose small gradients without a scaled "
      "loss, which attnlab does not have. Write dtype=bfloat16, which has the range of float32, or "
      "dtype=float32.");
}

}  // namespace

std::unique_ptr<tasks::Task> make_task(const config::TrialConfig& config) {
  return tasks::make_task(config.task, config.task_options);
}

std::unique_ptr<tasks::Task> make_test(const config::TrialConfig& config, const std::string& test,
                                       const tasks::Task& trained) {
  const tasks::TaskEntry& entry = tasks::task_entry(config.task);
  tasks::KeyValues keys = config.task_options;
  for (auto& [key, value] : tasks::parse_words(config.task, entry.specs, words_of(test))) {
    keys[key] = value;
  }
  auto task = tasks::make_task(config.task, keys);
  if (task->vocabulary() != trained.vocabulary()) {
    throw ConfigError(fmt::format(
        "[train] the test '{}' has {} tokens, and the model learns {}; a test may not change the "
        "tokens of its task.",
        test, task->vocabulary().size(), trained.vocabulary().size()));
  }
  return task;
}

std::string task_label(const config::TrialConfig& config) {
  std::string label = config.task;
  for (const OptionSpec& spec : tasks::task_entry(config.task).specs) {
    const auto given = config.task_options.find(spec.name);
    if (given == config.task_options.end() || given->second == spec.default_value) continue;
    if (spec.name == "seqlen" || spec.name == "seed") continue;
    label += fmt::format(" {}={}", spec.name, tasks::value_text(given->second));
  }
  return label;
}

std::int64_t training_seqlen(const tasks::Task& task) {
  constexpr std::uint64_t kLooked = 100;
  std::size_t seqlen = 0;
  const std::uint64_t count = std::min(kLooked, task.size(tasks::Split::kTrain));
  for (std::uint64_t i = 0; i < count; ++i) {
    seqlen = std::max(seqlen, task.sample(tasks::Split::kTrain, i).inputs.size());
  }
  return static_cast<std::int64_t>(seqlen);
}

SequenceModel make_model(const config::TrialConfig& config, const Registry& registry,
                         const tasks::Task& task) {
  const config::ModelConfig& model = config.model;
  std::vector<std::unique_ptr<Variant>> variants;
  for (const std::string& layer : model.layers) {
    variants.push_back(make_layer(layer, config, registry));
  }
  while (model.layers.empty() && std::cmp_less(variants.size(), model.depth)) {
    variants.push_back(registry.make(config.variant, config.variant_options));
  }
  SequenceModelOptions options;
  options.vocab = static_cast<std::int64_t>(task.vocabulary().size());
  options.answers = options.vocab;
  options.embed_dim = model.dim;
  options.heads = model.heads;
  options.mlp_ratio = model.mlp_ratio;
  options.positions = parse_positions(model.positions);
  options.max_seqlen = model.max_seqlen > 0 ? model.max_seqlen : training_seqlen(task);
  const at::ScalarType dtype = parse_dtype(config.dtype);
  if (dtype == at::kBFloat16) options.autocast = dtype;
  at::manual_seed(config.seed);
  SequenceModel made(options, std::move(variants));
  made->to(options.autocast ? at::kFloat : dtype);
  return made;
}

std::string model_json(const config::ModelConfig& model) {
  const config::ModelConfig defaults;
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  if (!model.layers.empty()) {
    std::string layers;
    for (const std::string& layer : model.layers) layers += (layers.empty() ? "" : ", ") + layer;
    object["model.layers"] = layers;
  } else if (model.depth != defaults.depth) {
    object["model.depth"] = model.depth;
  }
  if (model.dim != defaults.dim) object["model.dim"] = model.dim;
  if (model.heads != defaults.heads) object["model.heads"] = model.heads;
  if (model.mlp_ratio != defaults.mlp_ratio) object["model.mlp_ratio"] = model.mlp_ratio;
  if (model.positions != "learned") object["model.positions"] = model.positions;
  if (model.max_seqlen != 0) object["model.max_seqlen"] = model.max_seqlen;
  return object.dump();
}

void settle_training(config::TrialConfig& config, const Registry& registry) {
  check_precision(config);
  const auto task = make_task(config);
  for (const std::string& test : config.train.tests) make_test(config, test, *task);
  make_model(config, registry, *task);
  config.batch = config.train.batch;
  config.heads = config.kv_heads = config.model.heads;
  config.head_dim = config.head_dim_v = config.model.dim / config.model.heads;
  config.seqlen = config.seqlen_q = config.seqlen_k = training_seqlen(*task);
  config.causal = true;
  config.inputs = "";
  config.inputs_options.clear();
}

}  // namespace attnlab::training
