// Exact attention in O(seqlen) memory on tensor cores, for bfloat16 and float16, with instructions
// that every device since sm_80 has (mma.sync, ldmatrix, cp.async). Sums in float32.
// Dao 2023 (FlashAttention-2, arXiv 2307.08691).
// Time O(visible pairs * head_dim). Memory beyond inputs and outputs: none forward; backward two
// float32 per query row.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/core/attention_args.h"
#include "kernels/cuda/device_model.h"
#include "kernels/cuda/launch.h"

namespace attnlab::cuda::mma {

/// bfloat16 and float16, head dimensions from 1 to 256 where a block of the device has the shared
/// memory (over 128: 128 KiB); any mask, score, lengths, strides and alignment.
bool supports_forward(const AttentionShape& shape, const DeviceModel& device);
bool supports_backward(const AttentionShape& shape, const DeviceModel& device);

/// Throw UnsupportedError where the shape is not supported.
KernelPlan plan_forward(const AttentionShape& shape, const DeviceModel& device);
KernelPlan plan_backward(const AttentionShape& shape, const DeviceModel& device);

/// All pointers are device memory. `workspace`: at least plan.workspace_bytes, 16-byte aligned, any
/// contents. Every sum has one order that depends on the shape and the mask only: the same bits in
/// every run and for a batch slice. Asynchronous on `stream`.
void run_forward(const AttentionArgs& args, const KernelPlan& plan, std::span<std::byte> workspace,
                 const DeviceModel& device, Stream stream);
void run_backward(const AttentionBackwardArgs& args, const KernelPlan& plan,
                  std::span<std::byte> workspace, const DeviceModel& device, Stream stream);

}  // namespace attnlab::cuda::mma
