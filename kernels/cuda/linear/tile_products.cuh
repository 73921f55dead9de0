// What the tiles of linear attention on ordinary and on tensor cores have in common: their size,
// and how the operands of a product lie in shared memory.
#pragma once

#include "kernels/cuda/device/vector.cuh"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda::linear {

/// Rows and columns of every tile.
inline constexpr int kTile = 64;
/// Products sum over multiples of this.
inline constexpr int kDepthStep = 16;

/// Which index of the operands of `sum[m][n] += a(m, k) b(k, n)` is the row in shared memory.
enum class Operands {
  kRowsByRows,        ///< a[m][k], b[n][k]: a times the transpose of b
  kRowsByColumns,     ///< a[m][k], b[k][n]
  kColumnsByColumns,  ///< a[k][m], b[k][n]: the transpose of a times b
};

}  // namespace attnlab::cuda::linear
