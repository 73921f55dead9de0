// A pre-norm transformer over any variants: the model that tasks are learned
// with.
#pragma once

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <memory>
#include <optional>
#include <vector>

#include "experiments/models/multihead_attention.h"
#include "experiments/models/positions.h"

namespace attnlab {

/// x + attention(norm(x)), then x + mlp(norm(x)). Xiong et al. 2020 (arXiv
/// 2002.04745), figure 1b.
class TransformerBlockImpl : public torch::nn::Module {
 public:
  /// `mlp_ratio`: hidden width of the MLP (GELU) as a multiple of embed_dim; 0
  /// = no MLP.
  TransformerBlockImpl(std::int64_t embed_dim, std::int64_t heads, std::unique_ptr<Variant> variant,
                       double mlp_ratio, Positions positions);

  /// `[batch, seqlen, embed_dim]` to the same.
  at::Tensor forward(const at::Tensor &x, bool causal);

  MultiheadAttention attention{nullptr};

 private:
  torch::nn::LayerNorm attention_norm_{nullptr};
  torch::nn::LayerNorm mlp_norm_{nullptr};
  torch::nn::Linear mlp_in_{nullptr};
  torch::nn::Linear mlp_out_{nullptr};
};
TORCH_MODULE(TransformerBlock);

struct SequenceModelOptions {
  std::int64_t vocab = 0;    ///< tokens that go in
  std::int64_t answers = 0;  ///< classes that come out at each position
  std::int64_t embed_dim = 64;
  std::int64_t heads = 1;
  double mlp_ratio = 4;
  Positions positions = Positions::kLearned;
  std::int64_t max_seqlen = 0;  ///< positions that are learned; others need none
  bool causal = true;
  /// Every forward pass casts to this type (autocast.h): the variants get it, and weights, the sums
  /// along the blocks, norms and logits stay float32.
  std::optional<at::ScalarType> autocast;
};

/// Token ids to logits.
class SequenceModelImpl : public torch::nn::Module {
 public:
  /// One block per variant, in order. Throws ConfigError for sizes that do not
  /// fit together.
  SequenceModelImpl(const SequenceModelOptions &options,
                    std::vector<std::unique_ptr<Variant>> variants);

  /// ids `[batch, seqlen]` (int64) to logits `[batch, seqlen, answers]`, of the weights' type also
  /// under autocast, so that losses are. Throws ConfigError for a sequence longer than the learned
  /// positions.
  at::Tensor forward(const at::Tensor &ids);

  /// From now on every forward tells `observer`, which is not owned; nullptr ends that.
  void observe(ForwardObserver *observer);

  const SequenceModelOptions &options() const { return options_; }
  const std::vector<TransformerBlock> &blocks() const { return blocks_; }

 private:
  at::Tensor embed(const at::Tensor &ids);

  SequenceModelOptions options_;
  torch::nn::Embedding tokens_{nullptr};
  torch::nn::Embedding learned_positions_{nullptr};
  std::vector<TransformerBlock> blocks_;
  ForwardObserver *observer_ = nullptr;
  torch::nn::LayerNorm norm_{nullptr};
  torch::nn::Linear head_{nullptr};
};
TORCH_MODULE(SequenceModel);

}  // namespace attnlab
