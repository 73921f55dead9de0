// Softmax attention in tiles with an online softmax: the same result as `full`, memory linear in
// the sequence length. Dao et al. 2022 (FlashAttention, arXiv 2205.14135), Dao 2023
// (FlashAttention-2, arXiv 2307.08691).
#pragma once

#include "variants/api/registry.h"

namespace attnlab {

class FlashAttention : public Variant {
 public:
  VariantInfo info() const override;

 protected:
  Support do_supports(const Problem& problem) const override;
  Plan do_plan(const Problem& problem) const override;
  Outputs do_forward(const Inputs& inputs) const override;
  at::Tensor do_reference(const Inputs& inputs, const at::Tensor& query_rows) const override;
  at::Tensor do_weights(const Inputs& inputs, const at::Tensor& query_rows) const override;
};

void register_flash(Registry& registry);

}  // namespace attnlab
