// Joins the splits of every query row, in order.
#pragma once

#include "kernels/core/dispatch.h"
#include "kernels/core/online_softmax.h"
#include "kernels/cuda/decode/decode_plan.h"
#include "kernels/cuda/device/vector.cuh"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {

inline constexpr int kMergeThreads = 128;

/// Grid x = query rows of all kv_heads and batch items. Shared memory: num_splits accumulators.
template <class T>
__global__ void __launch_bounds__(kMergeThreads)
    decode_merge(const __grid_constant__ AttentionArgs args,
                 const __grid_constant__ DecodePlan plan, Accumulator<T>* const workspace) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = args.shape;
  const int row = block_idx_x() % plan.rows;
  const std::int64_t head_idx = block_idx_x() / plan.rows;
  const std::int64_t batch_idx = head_idx / shape.kv_heads;
  const int group = static_cast<int>(shape.heads / shape.kv_heads);
  const std::int64_t head = head_idx % shape.kv_heads * group + row % group;
  const std::int64_t length =
      args.mask.seqlens_k != nullptr ? args.mask.seqlens_k[batch_idx] : shape.seqlen_k;
  const int splits = static_cast<int>((length + plan.chunk_keys - 1) / plan.chunk_keys);
  const int dim = static_cast<int>(shape.head_dim_v);
  const auto partial = [&](int split) {
    return DecodePartial<Acc>(workspace, head_idx * plan.num_splits + split, plan.rows, dim);
  };

  OnlineSoftmax<Acc> total;
  for (int split = 0; split < splits; ++split) {
    const Acc theirs = partial(split).row_max[row];
    total.row_max = theirs > total.row_max ? theirs : total.row_max;
  }
  Acc* const factors = reinterpret_cast<Acc*>(shared_memory());
  for (int split = thread_idx(); split < splits; split += kMergeThreads) {
    factors[split] = exp2_of(partial(split).row_max[row] - total.reference());
  }
  sync_threads();
  for (int split = 0; split < splits; ++split) {
    total.add(factors[split] * partial(split).row_sum[row]);
  }
  T* const out = args.out.as<T>().row(batch_idx, head, row / group);
  for (int column = thread_idx(); column < dim; column += kMergeThreads) {
    Acc sum = Acc(0);
#pragma unroll 4
    for (int split = 0; split < splits; ++split) {
      sum += factors[split] * partial(split).out[static_cast<std::int64_t>(row) * dim + column];
    }
    out[column] = narrow<T>(sum * total.normalizer());
  }
  if (thread_idx() == 0) {
    *args.lse.as<Acc>().row(batch_idx, head, row / group) = static_cast<Acc>(OnlineSoftmax<double>{
        static_cast<double>(total.row_max), static_cast<double>(total.row_sum)}
                                                                                 .finish());
  }
}

}  // namespace attnlab::cuda
