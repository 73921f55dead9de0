// Attention of a few queries at the end of a key-value cache on CUDA devices, as in generating
// token by token. Time is that of reading K and V once: the keys are split over blocks
// (Flash-Decoding, Dao et al. 2023), all query rows of a group share what a block reads, and a
// second kernel merges the splits in order (online softmax, Milakov and Gimelshein 2018, arXiv
// 1805.02867). Groups of more than 8 query rows (grouped heads times queries) take several blocks
// per split, which run side by side and find K and V in the L2 cache after the first. Memory:
// (head_dim_v + 2) accumulators per query row and split, at most about 256 splits.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/core/attention_args.h"
#include "kernels/cuda/device_model.h"
#include "kernels/cuda/launch.h"

namespace attnlab::cuda {

/// seqlen_q from 1 to this.
inline constexpr std::int64_t kMaxDecodeQueries = 16;

/// All dtypes. Throws UnsupportedError for head dimensions beyond 256, more than kMaxDecodeQueries
/// queries, heads that are no multiple of kv_heads, and where a block of the device has too little
/// shared memory (75 KiB are enough except for head dimensions over 128 in float64).
KernelPlan plan_decode_attention(const AttentionShape& shape, const DeviceModel& device);

/// args.mask must be causal (the last query sees the whole cache) without windows; its seqlens_k
/// (device memory, from 0 to seqlen_k: the caller checks) are the valid lengths of the caches, and
/// nothing beyond them is read. args.score must be the scale alone. All pointers are device memory;
/// `workspace`: at least plan.workspace_bytes, 16-byte aligned, any contents. The splits depend on
/// seqlen_k and the heads only: a batch slice gets the same bits. Asynchronous on `stream`.
void decode_attention(const AttentionArgs& args, const KernelPlan& plan,
                      std::span<std::byte> workspace, const DeviceModel& device, Stream stream);

}  // namespace attnlab::cuda
