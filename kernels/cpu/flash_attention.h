// Exact attention in O(seqlen) memory on the CPU: tiles of scores with an online softmax.
// Dao et al. 2022 (FlashAttention, arXiv 2205.14135) and Dao 2023 (FlashAttention-2, arXiv
// 2307.08691); online softmax after Milakov and Gimelshein 2018 (arXiv 1805.02867).
// Time O(visible pairs * head_dim); memory beyond inputs and outputs: the workspace of the plan.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/core/attention_args.h"
#include "kernels/core/parallel.h"

namespace attnlab::cpu {

/// head_dim and head_dim_v from 1 to this.
inline constexpr std::int64_t kMaxHeadDim = 256;

/// What `flash_attention` will run for this shape with at most `max_workers` workers.
KernelPlan plan_flash_attention(const AttentionShape& shape, int max_workers);
KernelPlan plan_flash_attention_backward(const AttentionShape& shape, int max_workers);

/// `plan` must come from the plan function for the same shape; `workspace` has at least
/// plan.workspace_bytes bytes, 64-byte aligned, any contents. Strides: the last dimension of every
/// tensor is contiguous. Same bits for any number of workers and for a batch slice.
void flash_attention(const AttentionArgs& args, const KernelPlan& plan,
                     std::span<std::byte> workspace, const Parallel& parallel);
void flash_attention_backward(const AttentionBackwardArgs& args, const KernelPlan& plan,
                              std::span<std::byte> workspace, const Parallel& parallel);

}  // namespace attnlab::cpu
