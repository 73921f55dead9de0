// The gradient of log_decay needs no further products: d log_decay_u = sum_{t >= u} phi(q_t) . d
// phi(q_t) - phi(k_t) . d phi(k_t)  (Yang et al. 2023, GLA, arXiv 2312.06635, section 4 and
// appendix C). In double, from the last token to the first.
#pragma once

#include "kernels/cuda/linear/place.cuh"

namespace attnlab::cuda::linear {

inline constexpr int kDecayThreads = 256;
inline constexpr int kTokensPerThread = 4;

/// Grid: all heads.
template <class Call>
__global__ __launch_bounds__(kDecayThreads) void decay_gradient_kernel(
    const __grid_constant__ Call call) {
  constexpr int kWarps = kDecayThreads / 32;
  constexpr std::int64_t kStrip = kDecayThreads * kTokensPerThread;
  auto* const warp_sums = reinterpret_cast<double*>(shared_memory());
  const AttentionShape& shape = call.shape();
  const std::int64_t seqlen = shape.seqlen_q;
  const int dim_tiles = call.layout.dim_tiles;
  const auto* const dots =
      call.workspace.dots + std::int64_t{block_idx_x()} * 2 * dim_tiles * seqlen;
  const auto gradient = call.args.grad_log_decay.template as<float>();
  const std::int64_t batch_idx = block_idx_x() / shape.heads;
  const std::int64_t head = block_idx_x() % shape.heads;
  double carry = 0.0;  // of all strips so far
  for (std::int64_t strip = (seqlen - 1) / kStrip * kStrip; strip >= 0; strip -= kStrip) {
    // The first thread has the last tokens.
    const std::int64_t last = strip + kStrip - 1 - thread_idx() * kTokensPerThread;
    double sums[kTokensPerThread];
    double own = 0.0;
    for (int i = 0; i < kTokensPerThread; ++i) {
      const std::int64_t token = last - i;
      for (int x = 0; token < seqlen && x < dim_tiles; ++x) {
        own += static_cast<double>(dots[x * seqlen + token]) -
               static_cast<double>(dots[(dim_tiles + x) * seqlen + token]);
      }
      sums[i] = own;
    }
    double before = own;
    for (int delta = 1; delta < 32; delta *= 2) {
      const double other = shuffle_up(before, delta);
      if (lane_idx() >= delta) before += other;
    }
    sync_threads();
    if (lane_idx() == 31) warp_sums[warp_idx()] = before;
    sync_threads();
    before += carry - own;
    for (int w = 0; w < kWarps; ++w) {
      if (w < warp_idx()) before += warp_sums[w];
      carry += warp_sums[w];
    }
    for (int i = 0; i < kTokensPerThread; ++i) {
      if (last - i < seqlen) {
        *gradient.row(batch_idx, head, last - i) = static_cast<float>(before + sums[i]);
      }
    }
  }
}

}  // namespace attnlab::cuda::linear
