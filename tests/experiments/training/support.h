// A small training that every test can afford.
#pragma once

#include <string>

#include "experiments/config/load_yaml.h"
#include "experiments/config/schema.h"
#include "variants/api/registry.h"

namespace attnlab::training {

inline const Registry& builtin_registry() {
  static const Registry registry = [] {
    Registry made;
    register_builtin_variants(made);
    return made;
  }();
  return registry;
}

/// MQAR of 16 tokens and two pairs; `more` adds or replaces keys, in YAML's flow style.
inline config::TrialConfig small_config(const std::string& more = "{}") {
  const config::Tree base = config::parse_yaml(
      "direction: train\n"
      "variant: {name: full}\n"
      "task: {name: mqar, seqlen: 16, pairs: 2, vocab: 32}\n"
      "model: {dim: 16, heads: 2, mlp_ratio: 1}\n"
      "threads: 1\n"
      "train: {steps: 12, batch: 8, lr: 1e-2, eval_every: 4, eval_samples: 16, test_samples: 16}\n",
      "base");
  return config::parse_trial(config::merge(base, config::parse_yaml(more, "more")));
}

}  // namespace attnlab::training
