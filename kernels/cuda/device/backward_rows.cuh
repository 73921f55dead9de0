// What backward needs of every query row besides its tensors, made once: the reference of its
// weights and sum(dO * O) (Dao et al. 2022, arXiv 2205.14135, appendix B.2).
#pragma once

#include <limits>

#include "kernels/core/attention_args.h"
#include "kernels/core/online_softmax.h"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {

/// Per query row, `[batch, heads, seqlen_q]`.
struct RowStatistics {
  float*
      reference;  ///< lse in units of log2; +inf for a row without keys, whose weights are then 0
  float* delta;   ///< sum(dO * O)
};

/// The numbers of one query that weights and gradients of its pairs need.
struct QueryTerms {
  float reference;
  float delta;
};

/// Of a query that does not exist or sees no key: its weights are 0.
__device__ constexpr QueryTerms terms_of_no_query() {
  return {std::numeric_limits<float>::infinity(), 0.0f};
}

inline constexpr int kStatisticsThreads = 128;

/// One warp per query row; grid x = rows / 4, rounded up. T: bfloat16, float16.
template <class T>
__global__ void __launch_bounds__(kStatisticsThreads)
    flash_backward_rows(const __grid_constant__ AttentionBackwardArgs args,
                        const RowStatistics statistics) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const AttentionShape& shape = args.shape;
  const std::int64_t row =
      static_cast<std::int64_t>(block_idx_x()) * (kStatisticsThreads / 32) + warp_idx();
  if (row >= shape.batch * shape.heads * shape.seqlen_q) return;
  const std::int64_t q_idx = row % shape.seqlen_q;
  const std::int64_t head = row / shape.seqlen_q % shape.heads;
  const std::int64_t batch_idx = row / shape.seqlen_q / shape.heads;
  const T* const out = args.out.as<const T>().row(batch_idx, head, q_idx);
  const T* const grad_out = args.grad_out.as<const T>().row(batch_idx, head, q_idx);
  float sum = 0.0f;
  for (std::int64_t c = lane_idx(); c < shape.head_dim_v; c += 32) {
    sum = fmaf(to_float(out[c]), to_float(grad_out[c]), sum);
  }
#pragma unroll
  for (int other = 1; other < 32; other *= 2) sum += shuffle_xor(sum, other);
  if (lane_idx() != 0) return;
  const float lse = *args.lse.as<const float>().row(batch_idx, head, q_idx);
  statistics.reference[row] = lse == -kInfinity ? kInfinity : static_cast<float>(lse * kLog2E);
  statistics.delta[row] = sum;
}

}  // namespace attnlab::cuda
