#include "experiments/models/multihead_attention.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <torch/nn/init.h>

#include <cmath>

#include "experiments/models/autocast.h"
#include "kernels/core/error.h"
#include "variants/api/declared_tensors.h"
#include "variants/api/softmax_reference.h"

namespace attnlab {

MultiheadAttentionImpl::MultiheadAttentionImpl(std::int64_t embed_dim, std::int64_t heads,
                                               std::unique_ptr<Variant> variant,
                                               AttentionOptions options)
    : embed_dim_(embed_dim),
      heads_(heads),
      positions_(options.positions),
      variant_(std::move(variant)) {
  const bool bias = options.bias;
  if (heads < 1 || embed_dim < 1 || embed_dim % heads != 0) {
    throw ConfigError(
        fmt::format("[multihead_attention] embed_dim {} cannot "
                    "be split into {} heads; embed_dim must be a "
                    "positive multiple of heads.",
                    embed_dim, heads));
  }
  if (positions_ == Positions::kRotary && embed_dim / heads % 2 != 0) {
    throw ConfigError(
        fmt::format("[multihead_attention] rotary positions turn pairs, and a head has {} "
                    "elements; embed_dim / heads must be even.",
                    embed_dim / heads));
  }
  in_proj_weight = register_parameter("in_proj_weight", at::empty({3 * embed_dim, embed_dim}));
  if (bias) in_proj_bias = register_parameter("in_proj_bias", at::zeros({3 * embed_dim}));
  out_proj = register_module(
      "out_proj", torch::nn::Linear(torch::nn::LinearOptions(embed_dim, embed_dim).bias(bias)));
  torch::nn::init::xavier_uniform_(in_proj_weight);
  if (bias) torch::nn::init::zeros_(out_proj->bias);
  declare_tensors();
}

void MultiheadAttentionImpl::declare_tensors() {
  const VariantInfo about = variant_->info();
  Problem problem;
  problem.heads = problem.kv_heads = heads_;
  problem.head_dim = problem.head_dim_v = embed_dim_ / heads_;
  bool takes_slopes = false;
  for (const ExtraInput &input : about.extra_inputs) {
    if (input.name == alibi_slopes_input().name) {
      takes_slopes = true;
    } else if (!input.optional) {
      throw ConfigError(fmt::format(
          "[multihead_attention] variant {} needs the input '{}' {} ({}), and a model has nothing "
          "that makes it; use the variant with direction=forward, or make the input optional.",
          about.name, input.name, input.shape, input.help));
    }
  }
  if (positions_ == Positions::kAlibi && !takes_slopes) {
    throw ConfigError(fmt::format(
        "[model] positions = alibi: the variant {} takes no slopes, so it would know no positions. "
        "full, flash and sliding_window take them; other positions work with every variant: {}.",
        about.name, "none, learned, sinusoidal, rotary"));
  }
  if (positions_ == Positions::kAlibi) {
    alibi_slopes_ = alibi_head_slopes(heads_);
  }
  for (const LearnedParameter &parameter : about.parameters) {
    const auto sizes = declared_sizes(parameter.name, parameter.shape, problem);
    const double deviation = 1 / std::sqrt(static_cast<double>(sizes.back()));
    parameters_of_variant_[parameter.name] =
        register_parameter(parameter.name, at::randn(sizes) * deviation);
  }
}

// `[batch, seqlen, embed_dim]` to `[batch, heads, seqlen, head_dim]`, a view of
// the projection.
at::Tensor MultiheadAttentionImpl::project(const at::Tensor &input, std::int64_t part) const {
  const at::Tensor weight = in_proj_weight.narrow(0, part * embed_dim_, embed_dim_);
  const at::Tensor projected =
      in_proj_bias.defined()
          ? at::linear(input, weight, in_proj_bias.narrow(0, part * embed_dim_, embed_dim_))
          : at::linear(input, weight);
  return projected.unflatten(-1, {heads_, embed_dim_ / heads_}).transpose(1, 2);
}

void MultiheadAttentionImpl::observe(ForwardObserver *observer, std::int64_t layer) {
  observer_ = observer;
  layer_ = layer;
}

MultiheadAttentionImpl::Result MultiheadAttentionImpl::forward(const at::Tensor &query,
                                                               const at::Tensor &key,
                                                               const at::Tensor &value,
                                                               bool causal) {
  Inputs inputs;
  inputs.q = project(query, 0);
  inputs.k = project(key, 1);
  inputs.v = project(value, 2);
  if (positions_ == Positions::kRotary) {
    inputs.q = rotate_positions(inputs.q);
    inputs.k = rotate_positions(inputs.k);
  }
  inputs.causal = causal;
  inputs.extra = parameters_of_variant_;
  if (alibi_slopes_.defined()) {
    inputs.extra[alibi_slopes_input().name] = alibi_slopes_.to(inputs.q.device());
  }
  const Outputs outputs = [&] {
    const Autocast off = Autocast::off(inputs.q.device().type());
    return variant_->forward(inputs);
  }();
  if (observer_ != nullptr) observer_->on_attention(layer_, *variant_, inputs, outputs);
  Result result;
  result.out = out_proj->forward(outputs.out.transpose(1, 2).flatten(2));
  if (outputs.weights) result.weights = outputs.weights->mean(1);
  return result;
}

}  // namespace attnlab
