// Attention of a few queries at the end of a key-value cache on the CPU, as in generating token by
// token. Time is that of reading K and V once: the cache is cut into chunks of keys that all
// grouped query heads share (split over keys after Flash-Decoding, Dao et al. 2023; online softmax
// after Milakov and Gimelshein 2018, arXiv 1805.02867), merged in a fixed order.
// Time O(seqlen_k * heads * seqlen_q * head_dim); memory: a constant per worker, and per head and
// query (head_dim_v + 2) accumulators for each of about 16 chunks (one per 4096 keys in caches
// longer than 65536).
#pragma once

#include <cstddef>
#include <span>

#include "kernels/core/attention_args.h"
#include "kernels/core/parallel.h"

namespace attnlab::cpu {

/// seqlen_q from 1 to this.
inline constexpr std::int64_t kMaxDecodeQueries = 16;

/// What `decode_attention` will run for this shape with at most `max_workers` workers: the decode
/// kernel, or where matrix units make it the faster one (bfloat16 with AMX, from 8 queries) the
/// flash kernel; kernel_name says which. Throws
/// UnsupportedError for head dimensions beyond kMaxHeadDim, for more than kMaxDecodeQueries queries
/// and for heads that are no multiple of kv_heads.
KernelPlan plan_decode_attention(const AttentionShape& shape, int max_workers);

/// args.mask must be causal (the last query sees the whole cache) without windows; its seqlens_k
/// are the valid lengths of the caches, 0 allowed, and nothing beyond them is read. args.score must
/// be the scale alone. `plan` and `workspace` as in flash_attention. Same bits for any number of
/// workers and for a batch slice.
void decode_attention(const AttentionArgs& args, const KernelPlan& plan,
                      std::span<std::byte> workspace, const Parallel& parallel);

}  // namespace attnlab::cpu
