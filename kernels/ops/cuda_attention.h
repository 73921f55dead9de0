// What the CUDA operators of exact attention share.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <span>
#include <tuple>

#include "kernels/core/attention_args.h"
#include "kernels/ops/cuda_call.h"
#include "kernels/ops/dispatch.h"

namespace attnlab::ops {

/// Mask and score of one call; what they point to is device memory and lives in the caller.
struct CudaAttentionRules {
  MaskOptions mask;
  ScoreOptions score;
};

/// A forward kernel with its plan, such as cuda::flash_attention.
struct CudaForwardKernel {
  KernelPlan (*plan)(const AttentionArgs& args, const cuda::DeviceModel& device);
  void (*run)(const AttentionArgs& args, const KernelPlan& plan, std::span<std::byte> workspace,
              const cuda::DeviceModel& device, cuda::Stream stream);
};

/// (out, lse) of exact attention. Shapes and dtypes have been checked; any strides.
std::tuple<at::Tensor, at::Tensor> run_cuda_forward(
    const CudaCall& call, const CudaForwardKernel& kernel, const at::Tensor& q, const at::Tensor& k,
    const at::Tensor& v, const AttentionShape& shape, const CudaAttentionRules& rules);

/// Gradients of exact attention from its outputs, by the flash kernel. Shapes and dtypes have been
/// checked; any strides.
Gradients run_cuda_backward(const CudaCall& call, const at::Tensor& grad_out, const at::Tensor& q,
                            const at::Tensor& k, const at::Tensor& v, const at::Tensor& out,
                            const at::Tensor& lse, const AttentionShape& shape,
                            const CudaAttentionRules& rules);

}  // namespace attnlab::ops
