// What the kernels of this folder share besides tiles: which columns of a tile each row of a thread
// sees, scores, and the repair of sums that met NaN or infinities.
#pragma once

#include <limits>

#include "kernels/core/dispatch.h"
#include "kernels/core/mask.h"
#include "kernels/core/online_softmax.h"
#include "kernels/cuda/device/swizzled_tile.cuh"

namespace attnlab::cuda::mma {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Half-open ranges of positions that the rows of a thread see.
template <int kRowTiles>
struct VisibleRanges {
  int begin[kRowTiles][2];
  int end[kRowTiles][2];

  /// range_of(row within the warp's rows).
  template <class F>
  __device__ __forceinline__ explicit VisibleRanges(const F& range_of) {
#pragma unroll
    for (int r = 0; r < kRowTiles; ++r) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const IndexRange range = range_of(sum_row(r, 2 * half));
        begin[r][half] = static_cast<int>(range.begin);
        end[r][half] = static_cast<int>(range.end);
      }
    }
  }

  __device__ __forceinline__ bool contains(int r, int half, int position) const {
    return position >= begin[r][half] && position < end[r][half];
  }
};

/// Score of a dot product in units of log2, without the folded scale where the policy is the scale
/// alone. `distance`: from the diagonal, either sign.
template <class Score>
__device__ __forceinline__ float general_log2_score(const Score& score, float dot, int distance) {
  const float x = dot * static_cast<float>(score.scale);
  return score.score(x, static_cast<float>(distance < 0 ? -distance : distance)) *
         static_cast<float>(kLog2E);
}

/// Products with partial tiles take NaN and infinities as zero, so that a weight of 0 of a masked
/// pair does not turn them into NaN. Rare, so afterwards and straight from global memory: whoever
/// sees them gets them. `keep_sign`: the weights are known to be positive. `at(position)`: the row
/// of elements at a position in [begin, end).
template <int kDim, int kRowTiles, class F>
__device__ __forceinline__ void repair_sums(const VisibleRanges<kRowTiles>& visible, int begin,
                                            int end, int columns, bool keep_sign, const F& at,
                                            float (&sums)[kRowTiles][kDim / 8][4]) {
#pragma unroll 1
  for (int position = begin; position < end; ++position) {
    const auto* const values = at(position);
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int column = sum_column(n, i);
        if (column >= columns) continue;
        const float value = to_float(values[column]);
        if (is_finite(value)) continue;
#pragma unroll
        for (int r = 0; r < kRowTiles; ++r) {
          if (visible.contains(r, i / 2, position)) {
            sums[r][n][i] += keep_sign ? value : value - value;
          }
        }
      }
    }
  }
}

}  // namespace attnlab::cuda::mma
