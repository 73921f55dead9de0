// What the CPU operators of exact attention share.
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/core/attention_args.h"
#include "kernels/ops/dispatch.h"

namespace attnlab::ops {

/// Mask and score of one call; what they point to lives in the caller.
struct AttentionRules {
  MaskOptions mask;
  ScoreOptions score;
};

/// Gradients of exact attention from its outputs, by the flash kernel. Shapes and dtypes have been
/// checked; any strides.
Gradients run_flash_backward(const at::Tensor& grad_out, const at::Tensor& q, const at::Tensor& k,
                             const at::Tensor& v, const at::Tensor& out, const at::Tensor& lse,
                             const AttentionShape& shape, const AttentionRules& rules);

}  // namespace attnlab::ops
