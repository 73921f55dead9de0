// Work on wgmma fragments: a thread's elements of 64 rows of scores or outputs. It holds two rows,
// here called row 0 and row 1; lanes 4g to 4g+3 share them. Elements 4j, 4j+1 are row 0 at columns
// 8j + 2t and the next, t = lane % 4, elements 4j+2, 4j+3 are row 1 at the same columns.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/core/online_softmax.h"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda::hopper {

inline constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// Row of element i of a fragment, 0 or 1, and its column without the lane's part, 2 * (lane % 4).
__device__ constexpr int fragment_row(int i) { return i / 2 % 2; }
__device__ constexpr int fragment_column(int i) { return i / 4 * 8 + i % 2; }

/// The keys that the two rows of a thread see.
struct RowRanges {
  int begin[2];
  int end[2];

  __device__ bool contains(int row, int key) const { return key >= begin[row] && key < end[row]; }
};

/// Gives invisible keys the score -inf, whatever stands there. `k_begin`: key of column 0.
template <int kCount>
__device__ __forceinline__ void mask_scores(float (&scores)[kCount], const RowRanges& seen,
                                            int k_begin) {
  const int lane_key = k_begin + lane_idx() % 4 * 2;
  const int begin[2] = {seen.begin[0] - lane_key, seen.begin[1] - lane_key};
  const int end[2] = {seen.end[0] - lane_key, seen.end[1] - lane_key};
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const int row = fragment_row(i);
    const int column = fragment_column(i);
    if (column < begin[row] || column >= end[row]) scores[i] = kMinusInfinity;
  }
}

/// Softmax state of the two rows. row_sum is this thread's part until `finish_sums`.
struct RowStates {
  OnlineSoftmax<float> row[2];

  __device__ void finish_sums() {
    for (OnlineSoftmax<float>& state : row) {
      state.row_sum += shuffle_xor(state.row_sum, 1);
      state.row_sum += shuffle_xor(state.row_sum, 2);
    }
  }
};

/// Takes in a tile of scores and turns them into weights. `scale` > 0 makes scores of dot products,
/// in units of log2. Writes the factors that the output sums of the two rows need.
template <int kCount>
__device__ __forceinline__ void softmax_step(float (&scores)[kCount], RowStates& states,
                                             float scale, float (&factors)[2]) {
  float row_max[2] = {kMinusInfinity, kMinusInfinity};
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    row_max[fragment_row(i)] = fmaxf(row_max[fragment_row(i)], scores[i]);
  }
  float offset[2];
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    row_max[row] = fmaxf(row_max[row], shuffle_xor(row_max[row], 1));
    row_max[row] = fmaxf(row_max[row], shuffle_xor(row_max[row], 2));
    factors[row] = states.row[row].update(row_max[row] * scale);
    offset[row] = -states.row[row].reference();
  }
  float sum[2] = {0.0f, 0.0f};
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const int row = fragment_row(i);
    scores[i] = exp2_approx(fmaf(scores[i], scale, offset[row]));
    sum[row] += scores[i];
  }
#pragma unroll
  for (int row = 0; row < 2; ++row) states.row[row].add(sum[row]);
}

template <int kCount>
__device__ __forceinline__ void scale_rows(float (&elements)[kCount], const float (&factors)[2]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) elements[i] *= factors[fragment_row(i)];
}

/// The A fragments of weights: step s covers columns 16s to 16s+15.
template <class T, int kCount>
__device__ __forceinline__ void pack_fragments(const float (&weights)[kCount],
                                               std::uint32_t (&packed)[kCount / 8][4]) {
#pragma unroll
  for (int i = 0; i < kCount / 2; ++i) {
    packed[i / 4][i % 4] = pack2<T>(weights[2 * i], weights[2 * i + 1]);
  }
}

}  // namespace attnlab::cuda::hopper
