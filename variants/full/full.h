// Softmax attention with stored scores: softmax(score(q, k)) v, the formula of the textbook and the
// quadratic baseline. Also returns the weights. Vaswani et al. 2017 (Attention Is All You Need,
// arXiv 1706.03762), equation 1; other scores: scores.h.
#pragma once

#include "variants/api/registry.h"
#include "variants/full/scores.h"

namespace attnlab {

class FullAttention : public Variant {
 public:
  explicit FullAttention(const Options& options);

  VariantInfo info() const override;
  const Options& options() const override { return options_; }

 protected:
  Support do_supports(const Problem& problem) const override;
  Plan do_plan(const Problem& problem) const override;
  Outputs do_forward(const Inputs& inputs) const override;
  at::Tensor do_reference(const Inputs& inputs, const at::Tensor& query_rows) const override;
  at::Tensor do_weights(const Inputs& inputs, const at::Tensor& query_rows) const override;

 private:
  Options options_;
  Score score_;
};

void register_full(Registry& registry);

}  // namespace attnlab
