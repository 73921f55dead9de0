// A whole variant in ten lines of Torch operations: every query gets the mean of the values it may
// see.
#include <ATen/ATen.h>

#include "variants/api/plugin.h"

class MeanPooling : public attnlab::Variant {
  attnlab::VariantInfo info() const override {
    return {.name = "mean_pooling",
            .summary = "mean of the visible values",
            .paper = "",
            .exact = false,
            .time_order = "N",
            .memory_order = "N"};
  }
  attnlab::Outputs do_forward(const attnlab::Inputs& in) const override {
    const int64_t keys = in.v.size(2), queries = in.q.size(2), group = in.q.size(1) / in.v.size(1);
    at::Tensor last = at::full({queries}, keys - 1);  // the last key that each query sees
    if (in.causal) last = at::arange(queries) + (keys - queries);
    at::Tensor sums = in.v.cumsum(2).index_select(2, last.clamp_min(0));
    at::Tensor mean = sums / (last + 1).clamp_min(1).unsqueeze(1).to(in.v.scalar_type());
    return {mean.masked_fill((last < 0).unsqueeze(1), 0).repeat_interleave(group, 1), {}, {}};
  }
};

ATTNLAB_PLUGIN(mean_pooling, registry) {
  registry.add({.name = "mean_pooling",
                .option_specs = {},
                .factory = [](const attnlab::Options&) { return std::make_unique<MeanPooling>(); },
                .origin = ""});
}
