// Building blocks of attention on ordinary cores: a block of 128 threads works on a tile of rows x
// columns (queries x keys, or keys x queries in the kernel of dK and dV), with operands in shared
// memory and sums in registers.
//
// A warp owns 4 * kRowsPerThread neighbouring rows; lane 8 * r + c of it owns the rows r + 4 * i of
// those and the columns c + 8 * j. So the eight lanes of a row reduce by shuffles, and weights pass
// between the lanes of a warp only. Rows in shared memory are 16 bytes longer than the head
// dimension: eight neighbouring rows lie in different banks.
#pragma once

#include "kernels/core/mask.h"
#include "kernels/core/online_softmax.h"
#include "kernels/core/score.h"
#include "kernels/cuda/device/vector.cuh"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda::simt {

inline constexpr int kThreads = 128;
/// Output columns that are summed at a time: eight per thread.
inline constexpr int kChunk = 64;

/// Sizes of a tile of element type T for head dimensions up to kDim.
template <class Element, int kHeadDim, int kRowsOfThread, int kColumnsOfThread>
struct Tile {
  using T = Element;
  static constexpr int kDim = kHeadDim;
  static constexpr int kRowsPerThread = kRowsOfThread;
  static constexpr int kColumnsPerThread = kColumnsOfThread;
  static constexpr int kRows = 16 * kRowsPerThread;
  static constexpr int kColumns = 8 * kColumnsPerThread;
  static constexpr int kVector = Vector<T>::kSize;
  static constexpr int kStride = kDim + kVector;
  /// Four neighbouring rows of eight weights lie in different banks.
  static constexpr int kWeightStride = kColumns + 8;
  static constexpr int kOutPerThread = kDim / 8;

  using Scores = T[kRowsPerThread][kColumnsPerThread];
  using Sums = T[kRowsPerThread][kOutPerThread];
  using PerRow = T[kRowsPerThread];
};

/// First row and first column of this thread.
template <class Tile>
__device__ __forceinline__ int first_row() {
  return warp_idx() * 4 * Tile::kRowsPerThread + lane_idx() / 8;
}
__device__ __forceinline__ int first_column() { return lane_idx() % 8; }

/// Rows in global memory: `rows` of them exist, `columns` elements each.
template <class T>
struct RowSource {
  const T* first;
  std::int64_t stride;
  int rows;
  int columns;
  bool aligned;  ///< for copies of 16 bytes
};

/// function(row, column) for the pieces of kElements elements that this thread moves.
template <int kRows, int kDim, int kElements, class F>
__device__ __forceinline__ void for_each_piece(const F& function) {
  constexpr int kPieces = kDim / kElements;
#pragma unroll(kDim > 64 ? 2 : 4)
  for (int i = thread_idx(); i < kRows * kPieces; i += kThreads) {
    function(i / kPieces, i % kPieces * kElements);
  }
}

/// Starts the copy of a tile; rows and columns that do not exist become zeros.
template <class Tile, int kRows>
__device__ __forceinline__ void copy_rows(const RowSource<typename Tile::T>& from,
                                          typename Tile::T* to) {
  using T = typename Tile::T;
  const auto copy = [&]<int kElements>(std::integral_constant<int, kElements>) {
    for_each_piece<kRows, Tile::kDim, kElements>([&](int row, int column) {
      const bool exists = row < from.rows && column < from.columns;
      const T* source = exists ? from.first + row * from.stride + column : from.first;
      copy_async<kElements* static_cast<int>(sizeof(T))>(to + row * Tile::kStride + column, source,
                                                         exists);
    });
  };
  if (from.aligned) {
    copy(std::integral_constant<int, Tile::kVector>());
  } else {
    copy(std::integral_constant<int, 1>());
  }
  copy_async_commit();
}

/// function(element) for the elements that this thread has copied, after its copies have ended.
template <class Tile, int kRows, class F>
__device__ __forceinline__ void for_each_copied(bool aligned, typename Tile::T* tile,
                                                const F& function) {
  if (aligned) {
    for_each_piece<kRows, Tile::kDim, Tile::kVector>([&](int row, int column) {
      typename Tile::T* at = tile + row * Tile::kStride + column;
      auto piece = load_vector(at);
      for (auto& x : piece.x) function(x);
      store_vector(at, piece);
    });
  } else {
    for_each_piece<kRows, Tile::kDim, 1>(
        [&](int row, int column) { function(tile[row * Tile::kStride + column]); });
  }
}

template <class Tile, int kRows>
__device__ __forceinline__ void scale_copied(bool aligned, typename Tile::T factor,
                                             typename Tile::T* tile) {
  for_each_copied<Tile, kRows>(aligned, tile, [&](auto& x) { x *= factor; });
}

/// Whether this thread has copied a NaN or infinity.
template <class Tile, int kRows>
__device__ __forceinline__ bool copied_non_finite(bool aligned, typename Tile::T* tile) {
  bool found = false;
  for_each_copied<Tile, kRows>(aligned, tile, [&](auto& x) { found = found || !is_finite(x); });
  return found;
}

/// dots[i][j] = sum over c < depth of a[row i][c] * b[column j][c], in the order of c: a score has
/// the same bits in every kernel.
template <class Tile>
__device__ __forceinline__ void dot_products(const typename Tile::T* a, const typename Tile::T* b,
                                             int depth, typename Tile::Scores& dots) {
  using T = typename Tile::T;
  const T* a_row = a + first_row<Tile>() * Tile::kStride;
  const T* b_row = b + first_column() * Tile::kStride;
#pragma unroll
  for (auto& row : dots) {
#pragma unroll
    for (T& x : row) x = T(0);
  }
#pragma unroll(Tile::kDim > 64 ? 1 : 2)
  for (int c = 0; c < depth; c += Tile::kVector) {
    Vector<T> a_part[Tile::kRowsPerThread];
#pragma unroll
    for (int i = 0; i < Tile::kRowsPerThread; ++i) {
      a_part[i] = load_vector(a_row + 4 * i * Tile::kStride + c);
    }
#pragma unroll
    for (int j = 0; j < Tile::kColumnsPerThread; ++j) {
      const Vector<T> b_part = load_vector(b_row + 8 * j * Tile::kStride + c);
#pragma unroll
      for (int x = 0; x < Tile::kVector; ++x) {
#pragma unroll
        for (int i = 0; i < Tile::kRowsPerThread; ++i) dots[i][j] += a_part[i].x[x] * b_part.x[x];
      }
    }
  }
}

/// The columns that each row of this thread sees, relative to the tile.
template <class Tile>
struct VisibleColumns {
  int begin[Tile::kRowsPerThread];
  int end[Tile::kRowsPerThread];

  __device__ __forceinline__ bool contains(int i, int column) const {
    return column >= begin[i] && column < end[i];
  }
};

/// range_of(row) gives the positions that a row sees, `origin` is that of column 0.
template <class Tile, class F>
__device__ __forceinline__ VisibleColumns<Tile> visible_columns(std::int64_t origin,
                                                                const F& range_of) {
  VisibleColumns<Tile> visible;
#pragma unroll
  for (int i = 0; i < Tile::kRowsPerThread; ++i) {
    const IndexRange range = range_of(first_row<Tile>() + 4 * i);
    visible.begin[i] = static_cast<int>(range.begin - origin);
    visible.end[i] = static_cast<int>(range.end - origin);
  }
  return visible;
}

/// Dot products of scaled operands become scores in units of log2. `offset` is the position of row
/// 0 minus that of column 0, on the axis of keys.
template <class Tile, class Score>
__device__ __forceinline__ typename Tile::T log2_score(const Score& score, typename Tile::T dot,
                                                       int offset, int i, int j) {
  using T = typename Tile::T;
  if constexpr (Score::kIsIdentity) return dot;
  const int distance = offset + first_row<Tile>() + 4 * i - first_column() - 8 * j;
  return score.score(dot, static_cast<T>(distance < 0 ? -distance : distance)) * T(kLog2E);
}

/// By what an operand of the dot products is multiplied: scores must reach exp2 in units of log2,
/// which the policy may allow to fold in here.
template <class Score>
__device__ __forceinline__ double operand_scale(const Score& score) {
  return Score::kIsIdentity ? score.scale * kLog2E : score.scale;
}

template <class Tile>
__device__ __forceinline__ void store_weights(const typename Tile::Scores& values,
                                              typename Tile::T* weights) {
  typename Tile::T* at = weights + first_row<Tile>() * Tile::kWeightStride + first_column();
#pragma unroll
  for (int i = 0; i < Tile::kRowsPerThread; ++i) {
#pragma unroll
    for (int j = 0; j < Tile::kColumnsPerThread; ++j) {
      at[4 * i * Tile::kWeightStride + 8 * j] = values[i][j];
    }
  }
}

/// Column of output element e of this thread.
template <class Tile>
__device__ __forceinline__ int out_column(int e) {
  constexpr int kVector = Tile::kVector;
  return e / 8 * kChunk + (e % 8 / kVector * 8 + first_column()) * kVector + e % kVector;
}

/// sums[i] = sums[i] * factors[i] + weights[row i][:] * x[:][..width]. The products of a tile are
/// summed from zero and added last, which keeps the error of long sums small. kMasked: pairs that
/// are not visible are left out instead of multiplied by a weight of 0, because 0 * NaN is NaN.
template <class Tile, bool kMasked>
__device__ __forceinline__ void add_product(const typename Tile::T* weights,
                                            const typename Tile::T* x, int width,
                                            const VisibleColumns<Tile>& visible,
                                            const typename Tile::PerRow& factors,
                                            typename Tile::Sums& sums) {
  using T = typename Tile::T;
  constexpr int kVector = Tile::kVector;
  const T* weight_row = weights + first_row<Tile>() * Tile::kWeightStride;
#pragma unroll
  for (int chunk = 0; chunk < Tile::kDim / kChunk; ++chunk) {
    if (chunk * kChunk >= width) break;
    const T* x_row = x + out_column<Tile>(chunk * 8);
    T part[Tile::kRowsPerThread][8] = {};
#pragma unroll(kMasked || Tile::kDim > 64 ? 1 : 2)
    for (int column = 0; column < Tile::kColumns; column += kVector) {
      Vector<T> w[Tile::kRowsPerThread];
#pragma unroll
      for (int i = 0; i < Tile::kRowsPerThread; ++i) {
        w[i] = load_vector(weight_row + 4 * i * Tile::kWeightStride + column);
      }
#pragma unroll
      for (int y = 0; y < kVector; ++y) {
#pragma unroll
        for (int e = 0; e < 8; e += kVector) {
          const Vector<T> values = load_vector(x_row + (column + y) * Tile::kStride + e * 8);
#pragma unroll
          for (int i = 0; i < Tile::kRowsPerThread; ++i) {
            if (kMasked && !visible.contains(i, column + y)) continue;
#pragma unroll
            for (int z = 0; z < kVector; ++z) part[i][e + z] += w[i].x[y] * values.x[z];
          }
        }
      }
    }
#pragma unroll
    for (int i = 0; i < Tile::kRowsPerThread; ++i) {
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        T& sum = sums[i][chunk * 8 + e];
        sum = sum * factors[i] + part[i][e];
      }
    }
  }
}

/// Writes rows of sums * factors to the first `rows` rows at `to`.
template <class Tile>
__device__ __forceinline__ void write_rows(const typename Tile::Sums& sums,
                                           const typename Tile::PerRow& factors,
                                           typename Tile::T* to, std::int64_t stride, int rows,
                                           int columns, bool aligned) {
  using T = typename Tile::T;
  constexpr int kVector = Tile::kVector;
#pragma unroll
  for (int i = 0; i < Tile::kRowsPerThread; ++i) {
    const int row = first_row<Tile>() + 4 * i;
    if (row >= rows) continue;
#pragma unroll
    for (int e = 0; e < Tile::kOutPerThread; e += kVector) {
      const int column = out_column<Tile>(e);
      T* const at = to + row * stride + column;
      Vector<T> values;
#pragma unroll
      for (int z = 0; z < kVector; ++z) values.x[z] = sums[i][e + z] * factors[i];
      if (aligned) {
        if (column < columns) store_vector(at, values);
      } else {
#pragma unroll
        for (int z = 0; z < kVector; ++z) {
          if (column + z < columns) at[z] = values.x[z];
        }
      }
    }
  }
}

template <class T, std::size_t kSize>
__device__ __forceinline__ void fill(T (&values)[kSize], T value) {
#pragma unroll
  for (T& x : values) x = value;
}

template <class T, std::size_t kRows, std::size_t kColumns>
__device__ __forceinline__ void fill(T (&values)[kRows][kColumns], T value) {
#pragma unroll
  for (auto& row : values) fill(row, value);
}

}  // namespace attnlab::cuda::simt
