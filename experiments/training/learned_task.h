// From a config to what is learned: the task, its tests, and the model.
#pragma once

#include <memory>
#include <string>

#include "experiments/config/schema.h"
#include "experiments/models/transformer.h"
#include "experiments/tasks/task.h"
#include "variants/api/registry.h"

namespace attnlab::training {

/// Throws ConfigError for what the task refuses.
std::unique_ptr<tasks::Task> make_task(const config::TrialConfig& config);

/// The task with other keys: "seqlen=128 pairs=8", as train.tests has them. Throws ConfigError,
/// also where it has other tokens than `trained`.
std::unique_ptr<tasks::Task> make_test(const config::TrialConfig& config, const std::string& test,
                                       const tasks::Task& trained);

/// The name and the keys that are not the task's defaults, but seqlen and seed: "mqar vocab=256".
std::string task_label(const config::TrialConfig& config);

/// Tokens of a training sample, the longest of the first ones where they differ.
std::int64_t training_seqlen(const tasks::Task& task);

/// On the CPU, in the config's dtype; with bfloat16 the weights are float32, and every forward pass
/// runs under autocast to bfloat16. Weights depend on the config's seed alone. Uses Torch's global
/// generator. Throws ConfigError for sizes that do not fit together, and what the registry refuses.
SequenceModel make_model(const config::TrialConfig& config, const Registry& registry,
                         const tasks::Task& task);

/// What differs from the defaults of `model`, as a JSON object: {"model.positions": "rotary"}.
std::string model_json(const config::ModelConfig& model);

/// Puts the shape that the variant will see into the config: length, heads and sizes of a training
/// sample. Checks everything that can be checked without training. Throws ConfigError.
void settle_training(config::TrialConfig& config, const Registry& registry);

}  // namespace attnlab::training
