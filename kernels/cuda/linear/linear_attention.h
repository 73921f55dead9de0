// Linear attention on CUDA devices, chunked: inside a chunk the masked product of feature maps,
// between chunks a state `[head_dim, head_dim_v]` that sums over all earlier chunks. All chunks are
// worked on at once: (1) the sums of every chunk, (2) a scan over the chunks, each element of the
// state by a thread of its own, (3) the outputs. float32 and float64 on ordinary cores, 16-bit
// types on tensor cores. Formula and sources: kernels/core/linear_args.h; chunks as in Hua et al.
// 2022 (FLASH, arXiv 2202.10447) and Yang et al. 2023 (GLA, arXiv 2312.06635).
//
// A chunk has 2 * max(head_dim, head_dim_v) tokens, dims rounded up to 64, so that pairs of tokens
// inside chunks cost about what the states cost. Time O(seqlen * head_dim * head_dim_v). Workspace
// per token and head: 2 * min(head_dim, head_dim_v) bytes of states, half a float32 row (twice as
// much for float64), and where causal 16 bytes for decays; backward three sums more, and where
// causal two for every 64 columns of head_dim.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/core/linear_args.h"
#include "kernels/cuda/device_model.h"
#include "kernels/cuda/launch.h"

namespace attnlab::cuda {

/// Throw UnsupportedError for head dimensions below 1 or above 256, heads that are no multiple of
/// kv_heads, and causal with seqlen_q != seqlen_k.
KernelPlan plan_linear_attention(const AttentionShape& shape, bool causal,
                                 const DeviceModel& device);
KernelPlan plan_linear_attention_backward(const AttentionShape& shape, bool causal,
                                          const DeviceModel& device);

/// All pointers of `args` are device memory (log_decay too); `workspace` is device memory of at
/// least plan.workspace_bytes bytes, 256-byte aligned, any contents. The last dimension of every
/// tensor is contiguous. Deterministic; a batch slice gets the same bits. Asynchronous on `stream`.
/// NaN and infinities of later tokens do not reach earlier rows of a causal result. Throw
/// UnsupportedError for log_decay without causal and for a workspace that is too small. The
/// backward pass does not read args.out: what it needs of it is summed again (token_terms.cuh).
void linear_attention(const LinearAttentionArgs& args, const KernelPlan& plan,
                      std::span<std::byte> workspace, const DeviceModel& device, Stream stream);
void linear_attention_backward(const LinearAttentionBackwardArgs& args, const KernelPlan& plan,
                               std::span<std::byte> workspace, const DeviceModel& device,
                               Stream stream);

}  // namespace attnlab::cuda
