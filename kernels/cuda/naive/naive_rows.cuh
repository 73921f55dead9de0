// One block per row of a stored score matrix, or per row of a masked sum.
#pragma once

#include "kernels/core/dispatch.h"
#include "kernels/core/online_softmax.h"
#include "kernels/core/score.h"
#include "kernels/cuda/device/block_reduce.cuh"
#include "kernels/cuda/device/vector.cuh"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {

inline constexpr int kRowThreads = 128;

struct NaiveArgs {
  AttentionShape shape;
  MaskOptions mask;
  ScoreOptions score;
  TensorView scores;   ///< in place: scores or the gradient of the weights
  TensorView weights;  ///< backward
  TensorView dots;     ///< backward with soft-cap
};

/// Row `index` of `[batch, heads, length]`.
struct RowIndex {
  std::int64_t batch_idx, head, position;

  __device__ __forceinline__ RowIndex(std::int64_t index, std::int64_t heads, std::int64_t length)
      : batch_idx(index / length / heads), head(index / length % heads), position(index % length) {}
};

/// function(k) for the positions [begin, end) of this thread.
template <class F>
__device__ __forceinline__ void for_each_own(std::int64_t begin, std::int64_t end,
                                             const F& function) {
  for (std::int64_t k = begin + thread_idx(); k < end; k += kRowThreads) function(k);
}

/// An empty range ends at 0.
template <class T>
__device__ __forceinline__ void clear_outside(T* row, IndexRange keys, std::int64_t seqlen_k) {
  for_each_own(0, keys.begin, [&](std::int64_t k) { row[k] = T{}; });
  for_each_own(keys.end, seqlen_k, [&](std::int64_t k) { row[k] = T{}; });
}

/// Shared memory: kBlockReduceBytes. Grid x = rows.
template <class T, class Score>
__global__ void __launch_bounds__(kRowThreads)
    softmax_rows_kernel(const __grid_constant__ NaiveArgs args) {
  using Acc = Accumulator<T>;
  const RowIndex at(block_idx_x(), args.shape.heads, args.shape.seqlen_q);
  const Mask mask = args.mask.mask(args.shape, at.batch_idx);
  const Score score = make_score<Score>(args.score, at.batch_idx, at.head);
  const IndexRange keys = mask.key_range(at.position, at.position + 1);
  const std::int64_t diagonal = mask.diagonal(at.position);
  T* const row = args.scores.as<T>().row(at.batch_idx, at.head, at.position);
  const auto log2_score = [&](std::int64_t k) {
    if constexpr (Score::kIsIdentity) {
      return widen(row[k]) * static_cast<Acc>(score.scale * kLog2E);
    }
    const Acc dot = widen(row[k]) * static_cast<Acc>(score.scale);
    const Acc distance = static_cast<Acc>(k < diagonal ? diagonal - k : k - diagonal);
    return score.score(dot, distance) * static_cast<Acc>(kLog2E);
  };

  OnlineSoftmax<Acc> softmax;
  Acc largest = softmax.row_max;
  for_each_own(keys.begin, keys.end, [&](std::int64_t k) {
    const Acc x = log2_score(k);
    largest = x > largest ? x : largest;
  });
  softmax.update(block_reduce<kRowThreads>(largest, MaxOf(), shared_memory()));
  const Acc reference = softmax.reference();
  Acc sum = Acc(0);
  for_each_own(keys.begin, keys.end,
               [&](std::int64_t k) { sum += exp2_of(log2_score(k) - reference); });
  softmax.add(block_reduce<kRowThreads>(sum, SumOf(), shared_memory()));
  const Acc normalizer = softmax.normalizer();
  for_each_own(keys.begin, keys.end, [&](std::int64_t k) {
    row[k] = narrow<T>(exp2_of(log2_score(k) - reference) * normalizer);
  });
  clear_outside(row, keys, args.shape.seqlen_k);
}

/// Shared memory: kBlockReduceBytes. Grid x = rows.
template <class T, class Score>
__global__ void __launch_bounds__(kRowThreads)
    softmax_rows_backward_kernel(const __grid_constant__ NaiveArgs args) {
  using Acc = Accumulator<T>;
  const RowIndex at(block_idx_x(), args.shape.heads, args.shape.seqlen_q);
  const Mask mask = args.mask.mask(args.shape, at.batch_idx);
  const Score score = make_score<Score>(args.score, at.batch_idx, at.head);
  const IndexRange keys = mask.key_range(at.position, at.position + 1);
  const T* const weights = args.weights.as<const T>().row(at.batch_idx, at.head, at.position);
  T* const grad = args.scores.as<T>().row(at.batch_idx, at.head, at.position);

  Acc sum = Acc(0);
  for_each_own(keys.begin, keys.end,
               [&](std::int64_t k) { sum += widen(weights[k]) * widen(grad[k]); });
  sum = block_reduce<kRowThreads>(sum, SumOf(), shared_memory());
  for_each_own(keys.begin, keys.end, [&](std::int64_t k) {
    Acc value = widen(weights[k]) * (widen(grad[k]) - sum);
    if constexpr (!Score::kIsIdentity) {
      if (score.softcap != 0.0) {
        const T dot = args.dots.as<const T>().row(at.batch_idx, at.head, at.position)[k];
        value *= score.derivative(widen(dot) * static_cast<Acc>(score.scale));
      }
    }
    grad[k] = narrow<T>(value * static_cast<Acc>(score.scale));
  });
  clear_outside(grad, keys, args.shape.seqlen_k);
}

struct SumArgs {
  AttentionShape shape;
  MaskOptions mask;
  TensorView coeff, rows, out;
};

/// Grid x = rows of out.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    masked_sum_kernel(const __grid_constant__ SumArgs args) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = args.shape;
  const RowIndex at(block_idx_x(), shape.heads, shape.seqlen_q);
  const std::int64_t kv_head = at.head / (shape.heads / shape.kv_heads);
  const IndexRange keys =
      args.mask.mask(shape, at.batch_idx).key_range(at.position, at.position + 1);
  const T* const coeff = args.coeff.as<const T>().row(at.batch_idx, at.head, at.position);
  const auto rows = args.rows.as<const T>();
  T* const out = args.out.as<T>().row(at.batch_idx, at.head, at.position);
  for_each_own(0, args.out.sizes[3], [&](std::int64_t c) {
    Acc sum = Acc(0);
    for (std::int64_t k = keys.begin; k < keys.end; ++k) {
      sum += widen(coeff[k]) * widen(rows.row(at.batch_idx, kv_head, k)[c]);
    }
    out[c] = narrow<T>(sum);
  });
}

/// Grid x = rows of out.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    masked_sum_transposed_kernel(const __grid_constant__ SumArgs args) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = args.shape;
  const RowIndex at(block_idx_x(), shape.kv_heads, shape.seqlen_k);
  const std::int64_t group = shape.heads / shape.kv_heads;
  const IndexRange queries =
      args.mask.mask(shape, at.batch_idx).query_range(at.position, at.position + 1);
  const auto coeff = args.coeff.as<const T>();
  const auto rows = args.rows.as<const T>();
  T* const out = args.out.as<T>().row(at.batch_idx, at.head, at.position);
  for_each_own(0, args.out.sizes[3], [&](std::int64_t c) {
    Acc sum = Acc(0);
    for (std::int64_t head = at.head * group; head < (at.head + 1) * group; ++head) {
      for (std::int64_t q = queries.begin; q < queries.end; ++q) {
        sum += widen(coeff.row(at.batch_idx, head, q)[at.position]) *
               widen(rows.row(at.batch_idx, head, q)[c]);
      }
    }
    out[c] = narrow<T>(sum);
  });
}

}  // namespace attnlab::cuda
