// Sees the inside of a model while it computes; a model without an observer does no extra work.
#pragma once

#include <cstdint>

#include "variants/api/variant.h"

namespace attnlab {

class ForwardObserver {
 public:
  virtual ~ForwardObserver() = default;

  /// After the variant of layer `layer` (from 0) ran: what it got, all heads, and what it returned.
  virtual void on_attention(std::int64_t layer, const Variant &variant, const Inputs &inputs,
                            const Outputs &outputs) = 0;

  /// After block `layer`: its output `[batch, seqlen, embed_dim]`.
  virtual void on_block(std::int64_t layer, const at::Tensor &output) = 0;
};

}  // namespace attnlab
