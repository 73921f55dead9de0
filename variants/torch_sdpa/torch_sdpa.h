// PyTorch's scaled_dot_product_attention: what users would pick instead, as a baseline. Runs
// LibTorch's flash kernel only; a call for which PyTorch would fall back to its materialised path
// is refused, so that a row never times something else than it names.
#pragma once

#include "variants/api/registry.h"

namespace attnlab {

class TorchSdpa : public Variant {
 public:
  VariantInfo info() const override;

 protected:
  Support do_supports(const Problem& problem) const override;
  Plan do_plan(const Problem& problem) const override;
  Outputs do_forward(const Inputs& inputs) const override;
  at::Tensor do_reference(const Inputs& inputs, const at::Tensor& query_rows) const override;
  at::Tensor do_weights(const Inputs& inputs, const at::Tensor& query_rows) const override;
};

void register_torch_sdpa(Registry& registry);

}  // namespace attnlab
