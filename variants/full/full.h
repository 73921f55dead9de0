// Softmax attention with stored scores: softmax(q k^T * scale) v, the formula of the textbook and
// the quadratic baseline. Also returns the weights. Vaswani et al. 2017 (Attention Is All You Need,
// arXiv 1706.03762), equation 1.
#pragma once

#include "variants/api/registry.h"

namespace attnlab {

class FullAttention : public Variant {
 public:
  VariantInfo info() const override;

 protected:
  Support do_supports(const Problem& problem) const override;
  Plan do_plan(const Problem& problem) const override;
  Outputs do_forward(const Inputs& inputs) const override;
  at::Tensor do_reference(const Inputs& inputs, const at::Tensor& query_rows) const override;
  at::Tensor do_weights(const Inputs& inputs, const at::Tensor& query_rows) const override;
};

void register_full(Registry& registry);

}  // namespace attnlab
