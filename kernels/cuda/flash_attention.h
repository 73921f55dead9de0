// Exact attention in O(seqlen) memory on CUDA devices: chooses among the kernels of simt/ (float32,
// float64), mma/ (16-bit, tensor cores of sm_80 and later) and hopper/ (16-bit, sm_90a).
// Dao et al. 2022 (FlashAttention, arXiv 2205.14135), Dao 2023 (FlashAttention-2, arXiv
// 2307.08691), Shah et al. 2024 (FlashAttention-3, arXiv 2407.08608).
#pragma once

#include <cstddef>
#include <span>

#include "kernels/core/attention_args.h"
#include "kernels/cuda/device_model.h"
#include "kernels/cuda/launch.h"

namespace attnlab::cuda {

/// head_dim and head_dim_v from 1 to this.
inline constexpr std::int64_t kMaxHeadDim = 256;

/// The kernel that this call gets, its name and its workspace. Sizes, strides, pointers' alignment
/// and options of `args` decide; data is not looked at. Throws UnsupportedError for head dimensions
/// beyond kMaxHeadDim and for heads that are no multiple of kv_heads.
KernelPlan plan_flash_attention(const AttentionArgs& args, const DeviceModel& device);
/// The same before there are tensors: for contiguous, aligned ones and the scale alone or with
/// soft-cap or ALiBi (`plain_score` false).
KernelPlan plan_flash_attention(const AttentionShape& shape, bool plain_score,
                                const DeviceModel& device);
KernelPlan plan_flash_attention_backward(const AttentionBackwardArgs& args,
                                         const DeviceModel& device);
KernelPlan plan_flash_attention_backward(const AttentionShape& shape, bool plain_score,
                                         const DeviceModel& device);

/// All pointers of `args` are device memory (seqlens_k and alibi_slopes too); `workspace` is device
/// memory of at least plan.workspace_bytes bytes, 256-byte aligned, any contents. The last
/// dimension of every tensor is contiguous. Deterministic; a batch slice gets the same bits.
/// Asynchronous on `stream`.
void flash_attention(const AttentionArgs& args, const KernelPlan& plan,
                     std::span<std::byte> workspace, const DeviceModel& device, Stream stream);
void flash_attention_backward(const AttentionBackwardArgs& args, const KernelPlan& plan,
                              std::span<std::byte> workspace, const DeviceModel& device,
                              Stream stream);

}  // namespace attnlab::cuda
