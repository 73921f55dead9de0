#include "experiments/models/transformer.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/gelu.h>
#include <fmt/format.h>
#include <torch/nn/init.h>

#include "experiments/models/autocast.h"
#include "kernels/core/error.h"

namespace attnlab {
namespace {

torch::nn::LayerNorm layer_norm(std::int64_t dim) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim}));
}

void check(const SequenceModelOptions &options, std::size_t layers) {
  const auto refuse = [](const std::string &why) { throw ConfigError("[model] " + why); };
  if (layers == 0) refuse("a model has at least one layer; model.layers is empty.");
  if (options.vocab < 1 || options.answers < 1) {
    refuse(fmt::format("a task has at least one token and one answer, not {} and {}.",
                       options.vocab, options.answers));
  }
  if (options.mlp_ratio < 0) {
    refuse(fmt::format("model.mlp_ratio is {}; 0 (no MLP) or more.", options.mlp_ratio));
  }
  if (options.positions == Positions::kLearned && options.max_seqlen < 1) {
    refuse("learned positions need the longest sequence of the training.");
  }
  if (options.positions == Positions::kSinusoidal && options.embed_dim % 2 != 0) {
    refuse(fmt::format("sinusoidal positions need an even model.embed_dim, not {}.",
                       options.embed_dim));
  }
}

}  // namespace

TransformerBlockImpl::TransformerBlockImpl(std::int64_t embed_dim, std::int64_t heads,
                                           std::unique_ptr<Variant> variant, double mlp_ratio,
                                           Positions positions) {
  attention_norm_ = register_module("attention_norm", layer_norm(embed_dim));
  attention = register_module("attention", MultiheadAttention(embed_dim, heads, std::move(variant),
                                                              AttentionOptions{true, positions}));
  const auto hidden = static_cast<std::int64_t>(mlp_ratio * static_cast<double>(embed_dim));
  if (hidden == 0) return;
  mlp_norm_ = register_module("mlp_norm", layer_norm(embed_dim));
  mlp_in_ = register_module("mlp_in", torch::nn::Linear(embed_dim, hidden));
  mlp_out_ = register_module("mlp_out", torch::nn::Linear(hidden, embed_dim));
}

at::Tensor TransformerBlockImpl::forward(const at::Tensor &x, bool causal) {
  const at::Tensor normed = attention_norm_->forward(x);
  const at::Tensor attended = x + attention->forward(normed, normed, normed, causal).out;
  if (mlp_in_.is_empty()) return attended;
  const at::Tensor hidden = at::gelu(mlp_in_->forward(mlp_norm_->forward(attended)));
  return attended + mlp_out_->forward(hidden);
}

SequenceModelImpl::SequenceModelImpl(const SequenceModelOptions &options,
                                     std::vector<std::unique_ptr<Variant>> variants)
    : options_(options) {
  check(options, variants.size());
  // Small embeddings, as GPT-2 has them: attention starts near uniform.
  constexpr double kEmbeddingStd = 0.02;
  tokens_ = register_module("tokens", torch::nn::Embedding(options.vocab, options.embed_dim));
  torch::nn::init::normal_(tokens_->weight, 0.0, kEmbeddingStd);
  if (options.positions == Positions::kLearned) {
    learned_positions_ =
        register_module("positions", torch::nn::Embedding(options.max_seqlen, options.embed_dim));
    torch::nn::init::normal_(learned_positions_->weight, 0.0, kEmbeddingStd);
  }
  for (std::size_t i = 0; i < variants.size(); ++i) {
    blocks_.push_back(
        register_module(fmt::format("block{}", i),
                        TransformerBlock(options.embed_dim, options.heads, std::move(variants[i]),
                                         options.mlp_ratio, options.positions)));
  }
  norm_ = register_module("norm", layer_norm(options.embed_dim));
  head_ = register_module("head", torch::nn::Linear(options.embed_dim, options.answers));
}

at::Tensor SequenceModelImpl::embed(const at::Tensor &ids) {
  const at::Tensor embedded = tokens_->forward(ids);
  const std::int64_t seqlen = ids.size(1);
  if (options_.positions == Positions::kLearned) {
    if (seqlen > options_.max_seqlen) {
      throw ConfigError(
          fmt::format("[model] a sequence of {} tokens, but positions are "
                      "learned up to {}; positions=rotary, "
                      "sinusoidal or none take any length.",
                      seqlen, options_.max_seqlen));
    }
    return embedded + learned_positions_->forward(at::arange(seqlen, ids.options()));
  }
  if (options_.positions == Positions::kSinusoidal) {
    return embedded + sinusoidal_table(seqlen, options_.embed_dim, embedded.options());
  }
  return embedded;
}

void SequenceModelImpl::observe(ForwardObserver *observer) {
  observer_ = observer;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i]->attention->observe(observer, static_cast<std::int64_t>(i));
  }
}

at::Tensor SequenceModelImpl::forward(const at::Tensor &ids) {
  const Autocast autocast(ids.device().type(), options_.autocast);
  at::Tensor x = embed(ids);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    x = blocks_[i]->forward(x, options_.causal);
    if (observer_ != nullptr) observer_->on_block(static_cast<std::int64_t>(i), x);
  }
  return head_->forward(norm_->forward(x)).to(head_->weight.scalar_type());
}

}  // namespace attnlab
