// Softmax attention in which a query sees only its nearest keys: `window` keys to its left besides
// the one on its diagonal, and as many to its right where the problem is not causal. Beltagy et al.
// 2020 (Longformer, arXiv 2004.05150), section 3.1; Jiang et al. 2023 (Mistral 7B, arXiv
// 2310.06825) for the causal form.
#pragma once

#include "variants/api/registry.h"

namespace attnlab {

class SlidingWindowAttention : public Variant {
 public:
  explicit SlidingWindowAttention(const Options& options);

  VariantInfo info() const override;
  const Options& options() const override { return options_; }

 protected:
  Support do_supports(const Problem& problem) const override;
  Plan do_plan(const Problem& problem) const override;
  Outputs do_forward(const Inputs& inputs) const override;
  at::Tensor do_reference(const Inputs& inputs, const at::Tensor& query_rows) const override;
  at::Tensor do_weights(const Inputs& inputs, const at::Tensor& query_rows) const override;

 private:
  std::int64_t window_right(bool causal) const { return causal ? 0 : window_; }

  Options options_;
  std::int64_t window_;
};

void register_sliding_window(Registry& registry);

}  // namespace attnlab
