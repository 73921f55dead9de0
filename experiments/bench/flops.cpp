#include "experiments/bench/flops.h"

#include <algorithm>

namespace attnlab::bench {

double visible_pairs(std::int64_t seqlen, bool causal, std::int64_t window) {
  const auto n = static_cast<double>(seqlen);
  if (!causal) return n * n;
  const auto w = static_cast<double>(window > 0 ? std::min(window, seqlen) : seqlen);
  // The first w queries see 1, 2, ... w keys, the others w.
  return w * (w + 1) / 2 + (n - w) * w;
}

double attention_flops(std::int64_t batch, std::int64_t heads, double pairs,
                       std::int64_t head_dim) {
  return static_cast<double>(batch * heads) * pairs * 2 * static_cast<double>(2 * head_dim);
}

double linear_flops(std::int64_t batch, std::int64_t heads, std::int64_t seqlen,
                    std::int64_t head_dim) {
  const auto d = static_cast<double>(head_dim);
  return static_cast<double>(batch * heads * seqlen) * (4 * d * d + (kLinearChunk + 1) * 2 * d);
}

double cache_bytes(std::int64_t batch, std::int64_t kv_heads, std::int64_t seqlen,
                   std::int64_t head_dim, std::int64_t element_size) {
  return 2 * static_cast<double>(batch * kv_heads * seqlen * head_dim * element_size);
}

}  // namespace attnlab::bench
