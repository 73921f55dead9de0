// Multi-head attention over any variant: projections of query, key and value,
// the variant on each head, and the output projection. Parameter names and
// layout are those of torch::nn::MultiheadAttention (in_proj_weight,
// in_proj_bias, out_proj), so that weights can be exchanged. Vaswani et al.
// 2017 (arXiv 1706.03762), section 3.2.2.
#pragma once

#include <torch/nn/modules/linear.h>

#include <map>
#include <memory>
#include <string>

#include "experiments/models/forward_observer.h"
#include "experiments/models/positions.h"
#include "variants/api/variant.h"

namespace attnlab {

struct AttentionOptions {
  bool bias = true;
  Positions positions = Positions::kNone;  ///< rotary and alibi act here, others on embeddings
};

class MultiheadAttentionImpl : public torch::nn::Module {
 public:
  /// Takes ownership of `variant`; its declared parameters become parameters of the module. Throws
  /// ConfigError where embed_dim is no multiple of heads, for rotary positions where embed_dim /
  /// heads is odd, for alibi where the variant takes no slopes, and for a variant with further
  /// required inputs, which this module cannot make.
  MultiheadAttentionImpl(std::int64_t embed_dim, std::int64_t heads,
                         std::unique_ptr<Variant> variant, AttentionOptions options = {});

  struct Result {
    at::Tensor out;                     ///< `[batch, seqlen_q, embed_dim]`
    std::optional<at::Tensor> weights;  ///< `[batch, seqlen_q, seqlen_k]`, mean over heads
  };

  /// query `[batch, seqlen_q, embed_dim]`, key and value `[batch, seqlen_k,
  /// embed_dim]`. The weights are there where the variant stores them (`full`).
  /// Differentiable.
  Result forward(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                 bool causal = false);

  /// From now on every forward tells `observer`, which is not owned, as layer `layer`; nullptr ends
  /// that.
  void observe(ForwardObserver *observer, std::int64_t layer);

  at::Tensor in_proj_weight;  ///< `[3 * embed_dim, embed_dim]`: query, key, value
  at::Tensor in_proj_bias;    ///< `[3 * embed_dim]`; undefined without bias
  torch::nn::Linear out_proj{nullptr};

 private:
  at::Tensor project(const at::Tensor &input, std::int64_t part) const;
  void declare_tensors();

  std::int64_t embed_dim_;
  std::int64_t heads_;
  Positions positions_;
  std::unique_ptr<Variant> variant_;
  std::map<std::string, at::Tensor> parameters_of_variant_;
  at::Tensor alibi_slopes_;  ///< no buffer: it stays float32 in models of other dtypes
  ForwardObserver *observer_ = nullptr;
  std::int64_t layer_ = 0;
};

TORCH_MODULE(MultiheadAttention);

}  // namespace attnlab
