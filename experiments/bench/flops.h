// Floating-point operations and bytes of the benchmarked operators; a multiply-add counts 2. Work
// that an algorithm does twice (recomputed scores, chunk borders) is not credited.
#pragma once

#include <cstdint>

namespace attnlab::bench {

/// Query-key pairs that one head sees with seqlen queries and keys: all, the causal half
/// (diagonal included), or the causal band of `window` keys (the query's own key counts; 0 = none).
double visible_pairs(std::int64_t seqlen, bool causal, std::int64_t window);

/// Softmax attention: 2 * pairs * (d + dv), here with dv = d.
double attention_flops(std::int64_t batch, std::int64_t heads, double pairs, std::int64_t head_dim);

/// Backward from forward: five products where forward has two (scores recomputed once).
inline double backward_flops(double forward_flops) { return 2.5 * forward_flops; }

/// Causal linear attention in chunks of C = kLinearChunk tokens, dv = d: per token 4 d^2 for the
/// state and (C + 1) * 2 d for the pairs inside the chunk.
inline constexpr std::int64_t kLinearChunk = 64;
double linear_flops(std::int64_t batch, std::int64_t heads, std::int64_t seqlen,
                    std::int64_t head_dim);

/// Bytes of the K and V caches, which one decoding step reads once.
double cache_bytes(std::int64_t batch, std::int64_t kv_heads, std::int64_t seqlen,
                   std::int64_t head_dim, std::int64_t element_size);

}  // namespace attnlab::bench
