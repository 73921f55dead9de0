// Exact attention in O(seqlen) memory with the instructions of Hopper (sm_90a): tiles moved by the
// copy engine, products by wgmma, warpgroups with roles. For bfloat16 and float16.
// Shah et al. 2024 (FlashAttention-3, arXiv 2407.08608).
// Time O(visible pairs * head_dim). Memory beyond inputs and outputs: none forward, O(seqlen_q)
// backward.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/core/attention_args.h"
#include "kernels/cuda/device_model.h"
#include "kernels/cuda/launch.h"

namespace attnlab::cuda::hopper {

/// Takes: compute capability 9.0; head dimensions from 1 to 256 and any lengths; causal, windows,
/// seqlens_k, GQA; the scale alone, above 0. Every tensor but lse has 16-byte aligned rows (see
/// rows_are_aligned) and no stride of 0 over a dimension larger than 1. Everything else is for
/// mma/.
bool supports_forward(const AttentionArgs& args, const DeviceModel& device);

/// The name of the kernel; no workspace. Throws UnsupportedError for a shape that no call can have.
KernelPlan plan_forward(const AttentionShape& shape, const DeviceModel& device);

/// All pointers are device memory. Every sum has one order that depends on the shape and the mask
/// only: the same bits in every run and for a batch slice. Asynchronous on `stream`. Throws
/// UnsupportedError where supports_forward is false, DeviceError where the launch fails.
void run_forward(const AttentionArgs& args, const KernelPlan& plan, std::span<std::byte> workspace,
                 const DeviceModel& device, Stream stream);

/// Head dimensions of backward; larger ones are for mma/.
inline constexpr std::int64_t kMaxBackwardHeadDim = 128;

/// Takes what forward takes, with head dimensions up to kMaxBackwardHeadDim; grad_out and gradients
/// are aligned too. out and lse need no alignment.
bool supports_backward(const AttentionBackwardArgs& args, const DeviceModel& device);

/// Workspace: two float32 for each query row. Throws UnsupportedError for a shape that no call can
/// have.
KernelPlan plan_backward(const AttentionShape& shape, const DeviceModel& device);

/// As run_forward. Scores and dP are made twice, once for dQ, once for dK and dV
/// (backward_tile.cuh): no atomics, the same bits in every run. Throws Error where the workspace is
/// too small.
void run_backward(const AttentionBackwardArgs& args, const KernelPlan& plan,
                  std::span<std::byte> workspace, const DeviceModel& device, Stream stream);

}  // namespace attnlab::cuda::hopper
