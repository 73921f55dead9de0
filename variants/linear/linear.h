// Linear attention: the softmax is replaced by feature maps, so that keys and values can be summed
// into a state of fixed size. Causal (chunked recurrence) or not.
//   o_t = phi(q_t) S_t / (phi(q_t) z_t),  S_t = sum of phi(k_s) v_s^T,  z_t = sum of phi(k_s)
// Katharopoulos et al. 2020 (Transformers are RNNs, arXiv 2006.16236), equations 5-9.
#pragma once

#include "variants/api/registry.h"

namespace attnlab {

class LinearAttention : public Variant {
 public:
  explicit LinearAttention(const Options& options);

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
  std::string feature_map_;
  bool normalize_;
};

void register_linear(Registry& registry);

}  // namespace attnlab
