// A variant in a shared library: attention with equal weights, in Torch operations.
#include "variants/api/plugin.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace {

class EqualWeights : public attnlab::Variant {
 public:
  attnlab::VariantInfo info() const override {
    return {.name = "equal_weights",
            .summary = "the mean of all values",
            .paper = "",
            .exact = false,
            .time_order = "N",
            .memory_order = "1"};
  }

 protected:
  attnlab::Outputs do_forward(const attnlab::Inputs& inputs) const override {
    const at::Tensor mean = inputs.v.mean(std::vector<std::int64_t>{2}, /*keepdim=*/true);
    return {.out = at::zeros_like(inputs.q) + mean, .lse = {}, .weights = {}};
  }
};

}  // namespace

ATTNLAB_PLUGIN(e2e_plugin, registry) {
  registry.add({.name = "equal_weights",
                .option_specs = {},
                .factory = [](const attnlab::Options&) { return std::make_unique<EqualWeights>(); },
                .origin = "e2e_plugin"});
}
