// Linear attention on the CPU, chunked: inside a chunk the masked product of feature maps, between
// chunks a state `[head_dim, head_dim_v]`. Time O(seqlen * head_dim * head_dim_v), memory
// independent of seqlen beyond inputs and outputs but for two numbers per token in the backward
// pass. With more workers than heads, causal heads are cut into segments of 2048 tokens: a third
// more operations, a state per segment (one in each direction backward), and the same bits. Formula
// and sources: kernels/core/linear_args.h; chunking as in Hua et al. 2022 (FLASH, arXiv 2202.10447)
// and Yang et al. 2023 (GLA, arXiv 2312.06635).
#pragma once

#include <cstddef>
#include <span>

#include "kernels/core/linear_args.h"
#include "kernels/core/parallel.h"

namespace attnlab::cpu {

KernelPlan plan_linear_attention(const AttentionShape& shape, bool causal, int max_workers);
KernelPlan plan_linear_attention_backward(const AttentionShape& shape, bool causal,
                                          int max_workers);

/// Contracts of plan, workspace, strides and determinism as in flash_attention.h.
void linear_attention(const LinearAttentionArgs& args, const KernelPlan& plan,
                      std::span<std::byte> workspace, const Parallel& parallel);
void linear_attention_backward(const LinearAttentionBackwardArgs& args, const KernelPlan& plan,
                               std::span<std::byte> workspace, const Parallel& parallel);

}  // namespace attnlab::cpu
