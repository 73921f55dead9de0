// What the CPU operators of exact attention share.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <span>
#include <tuple>

#include "kernels/core/attention_args.h"
#include "kernels/core/parallel.h"
#include "kernels/ops/dispatch.h"

namespace attnlab::ops {

/// Mask and score of one call; what they point to lives in the caller.
struct AttentionRules {
  MaskOptions mask;
  ScoreOptions score;
};

/// A forward kernel with its plan, such as cpu::flash_attention.
struct ForwardKernel {
  KernelPlan (*plan)(const AttentionShape& shape, int max_workers);
  void (*run)(const AttentionArgs& args, const KernelPlan& plan, std::span<std::byte> workspace,
              const Parallel& parallel);
};

/// (out, lse) of exact attention. Shapes and dtypes have been checked; any strides.
std::tuple<at::Tensor, at::Tensor> run_forward(const ForwardKernel& kernel, const at::Tensor& q,
                                               const at::Tensor& k, const at::Tensor& v,
                                               const AttentionShape& shape,
                                               const AttentionRules& rules);

/// Gradients of exact attention from its outputs, by the flash kernel. Shapes and dtypes have been
/// checked; any strides.
Gradients run_flash_backward(const at::Tensor& grad_out, const at::Tensor& q, const at::Tensor& k,
                             const at::Tensor& v, const at::Tensor& out, const at::Tensor& lse,
                             const AttentionShape& shape, const AttentionRules& rules);

}  // namespace attnlab::ops
