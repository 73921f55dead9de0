// Exact attention in O(seqlen) memory on ordinary CUDA cores, for float32 and float64: full
// precision in every product (no tf32). Dao 2023 (FlashAttention-2, arXiv 2307.08691).
// Time O(visible pairs * head_dim). Memory beyond inputs and outputs: none forward; backward two
// accumulators per query row.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/core/attention_args.h"
#include "kernels/cuda/device_model.h"
#include "kernels/cuda/launch.h"

namespace attnlab::cuda::simt {

/// float32 and float64, head dimensions from 1 to 256 where a block of the device has the shared
/// memory (over 128: up to 145 KiB); any lengths, strides and alignment.
bool supports_forward(const AttentionShape& shape, const DeviceModel& device);
bool supports_backward(const AttentionShape& shape, const DeviceModel& device);

/// Throw UnsupportedError where the shape is not supported.
KernelPlan plan_forward(const AttentionShape& shape, const DeviceModel& device);
KernelPlan plan_backward(const AttentionShape& shape, const DeviceModel& device);

/// All pointers are device memory. `workspace`: at least plan.workspace_bytes, 16-byte aligned, any
/// contents. Every sum has one order that depends on the shape only: the same bits in every run and
/// for a batch slice. Asynchronous on `stream`.
void run_forward(const AttentionArgs& args, const KernelPlan& plan, std::span<std::byte> workspace,
                 const DeviceModel& device, Stream stream);
void run_backward(const AttentionBackwardArgs& args, const KernelPlan& plan,
                  std::span<std::byte> workspace, const DeviceModel& device, Stream stream);

}  // namespace attnlab::cuda::simt
