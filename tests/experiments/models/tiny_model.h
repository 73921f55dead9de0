// A model small enough to look into, for the tests of what watches models.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/randint.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "experiments/models/transformer.h"
#include "variants/api/registry.h"

namespace attnlab {

inline constexpr std::int64_t kTinyVocab = 11;
inline constexpr std::int64_t kTinyAnswers = 5;

inline SequenceModelOptions tiny_options(std::int64_t max_seqlen,
                                         Positions positions = Positions::kLearned) {
  SequenceModelOptions options;
  options.vocab = kTinyVocab;
  options.answers = kTinyAnswers;
  options.embed_dim = 12;
  options.heads = 3;
  options.mlp_ratio = 2;
  options.positions = positions;
  options.max_seqlen = max_seqlen;
  return options;
}

/// Float64, weights always the same.
inline SequenceModel tiny_model(const SequenceModelOptions &options,
                                std::vector<std::unique_ptr<Variant>> layers) {
  at::manual_seed(3);
  SequenceModel model(options, std::move(layers));
  model->to(at::kDouble);
  return model;
}

inline SequenceModel tiny_model(const SequenceModelOptions &options,
                                const std::vector<std::string> &variants) {
  Registry registry;
  register_builtin_variants(registry);
  std::vector<std::unique_ptr<Variant>> layers;
  for (const std::string &name : variants) layers.push_back(registry.make(name));
  return tiny_model(options, std::move(layers));
}

inline at::Tensor tiny_ids(std::int64_t seqlen, std::uint64_t seed = 5) {
  return at::randint(kTinyVocab, {2, seqlen}, at::detail::createCPUGenerator(seed), at::kLong);
}

inline at::Tensor tiny_labels(std::int64_t seqlen) {
  at::Tensor labels =
      at::randint(kTinyAnswers, {2, seqlen}, at::detail::createCPUGenerator(6), at::kLong);
  labels.select(1, 0).fill_(-100);
  return labels;
}

}  // namespace attnlab
