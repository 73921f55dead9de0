// Tiles of 16-bit elements in shared memory and the tensor-core products of a warp with them.
//
// A tile is rows of kDim elements (64, 128 or 256) without gaps. Its unit is a chunk of 8 elements,
// 16 bytes; chunk c of row r lies at place c ^ (r % 8), so that the eight rows that one matrix load
// reads lie in different banks.
#pragma once

#include "kernels/core/tensor_view.h"
#include "kernels/cuda/device/vector.cuh"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {

template <int kDim, class T>
__device__ __forceinline__ T* swizzled(T* tile, int row, int chunk) {
  return tile + row * kDim + (chunk ^ (row & 7)) * 8;
}

/// Rows of one head in global memory: `rows` of them exist, `columns` elements each.
template <class T>
struct GlobalRows {
  T* first;
  std::int64_t stride;
  int rows;
  int columns;
  bool aligned;  ///< 16-byte accesses are allowed; see rows_are_aligned
};

/// Rows [begin, end) of a head, at most `most` of them.
template <class T>
__device__ __forceinline__ GlobalRows<T> global_rows(const TensorView& tensor,
                                                     std::int64_t batch_idx, std::int64_t head,
                                                     std::int64_t begin, std::int64_t end, int most,
                                                     bool aligned) {
  const auto view = tensor.as<T>();
  const std::int64_t left = end - begin;
  const int rows = left <= 0 ? 0 : left < most ? static_cast<int>(left) : most;
  return {view.row(batch_idx, head, begin), view.strides[2], rows, static_cast<int>(view.sizes[3]),
          aligned};
}

/// function(row, chunk) for the chunks that this thread moves.
template <int kRows, int kDim, int kThreads, int kUnroll = 1, class F>
__device__ __forceinline__ void for_each_chunk(const F& function) {
  constexpr int kChunks = kDim / 8;
#pragma unroll kUnroll
  for (int i = thread_idx(); i < kRows * kChunks; i += kThreads) {
    function(i / kChunks, i % kChunks);
  }
}

/// Starts the copy of a tile by the whole block; what does not exist becomes zero. The caller
/// commits. Rows that are not aligned are copied at once, element by element.
template <int kRows, int kDim, int kThreads, class T>
__device__ __forceinline__ void copy_tile(const GlobalRows<const T>& from, T* tile) {
  if (from.aligned) {
    for_each_chunk<kRows, kDim, kThreads, 4>([&](int row, int chunk) {
      const bool exists = row < from.rows && chunk * 8 < from.columns;
      const T* source = exists ? from.first + row * from.stride + chunk * 8 : from.first;
      copy_async<16>(swizzled<kDim>(tile, row, chunk), source, exists);
    });
    return;
  }
  for_each_chunk<kRows, kDim, kThreads>([&](int row, int chunk) {
    Vector<T> values;
#pragma unroll
    for (int x = 0; x < 8; ++x) {
      const int column = chunk * 8 + x;
      const bool exists = row < from.rows && column < from.columns;
      values.x[x] = exists ? from.first[row * from.stride + column] : T{0};
    }
    store_vector(swizzled<kDim>(tile, row, chunk), values);
  });
}

/// Whether this thread has copied a NaN or infinity, after its copies have ended.
template <int kRows, int kDim, int kThreads, class T>
__device__ __forceinline__ bool copied_non_finite(T* tile) {
  bool found = false;
  for_each_chunk<kRows, kDim, kThreads>([&](int row, int chunk) {
    const Vector<T> values = load_vector(swizzled<kDim>(tile, row, chunk));
#pragma unroll
    for (const T x : values.x) found = found || !is_finite(to_float(x));
  });
  return found;
}

/// Turns every NaN and infinity of a tile to zero; each thread treats what it has copied.
template <int kRows, int kDim, int kThreads, class T>
__device__ __noinline__ void clear_non_finite(T* tile) {
  for_each_chunk<kRows, kDim, kThreads>([&](int row, int chunk) {
    T* const at = swizzled<kDim>(tile, row, chunk);
    Vector<T> values = load_vector(at);
#pragma unroll
    for (T& x : values.x) {
      if (!is_finite(to_float(x))) x = T{0};
    }
    store_vector(at, values);
  });
}

/// sums += A * B^T: rows a_row.. of tile `a` (16 * kRowTiles of them) times 8 * kCount rows of tile
/// `b`, in the order of columns.
template <int kDim, class T, int kRowTiles, int kCount>
__device__ __forceinline__ void add_rows_by_rows(const T* a, int a_row, const T* b,
                                                 float (&sums)[kRowTiles][kCount][4]) {
  static_assert(kCount % 2 == 0);
  // Lane 8m+i gives row i of matrix m of four: two halves of rows, two of columns.
  const int inner = lane_idx() % 8;
  const int low = lane_idx() / 8 % 2;
  const int high = lane_idx() / 16;
// The pattern of chunks repeats after 4 steps. Unrolled further, ptxas loads so far ahead that
// registers spill.
#pragma unroll 4
  for (int step = 0; step < kDim / 16; ++step) {
    const int panel = step / 4 * 64;
    const int chunk = step % 4 * 2;
    std::uint32_t left[kRowTiles][4];
#pragma unroll
    for (int r = 0; r < kRowTiles; ++r) {
      load_matrix_x4(left[r],
                     swizzled<kDim>(a + panel, a_row + 16 * r + low * 8 + inner, chunk + high));
    }
#pragma unroll
    for (int n = 0; n < kCount; n += 2) {
      std::uint32_t right[4];
      load_matrix_x4(right, swizzled<kDim>(b + panel, (n + high) * 8 + inner, chunk + low));
      const std::uint32_t first[2] = {right[0], right[1]};
      const std::uint32_t second[2] = {right[2], right[3]};
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) {
        mma_m16n8k16<T>(sums[r][n], left[r], first);
        mma_m16n8k16<T>(sums[r][n + 1], left[r], second);
      }
    }
  }
}

/// sums += W * B: weights in registers, rounded to T here, times the 8 * kWeights rows of tile `b`.
template <int kDim, class T, int kRowTiles, int kWeights>
__device__ __forceinline__ void add_weighted_rows(const float (&weights)[kRowTiles][kWeights][4],
                                                  const T* b,
                                                  float (&sums)[kRowTiles][kDim / 8][4]) {
  const int inner = lane_idx() % 8;
  const int low = lane_idx() / 8 % 2;
  const int high = lane_idx() / 16;
#pragma unroll
  for (int step = 0; step < kWeights / 2; ++step) {
    // Accumulators of two neighbouring eights of columns are an operand of depth 16.
    std::uint32_t left[kRowTiles][4];
#pragma unroll
    for (int r = 0; r < kRowTiles; ++r) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float(&pair)[4] = weights[r][2 * step + i / 2];
        left[r][i] = pack2<T>(pair[i % 2 * 2], pair[i % 2 * 2 + 1]);
      }
    }
#pragma unroll
    for (int n = 0; n < kDim / 16; ++n) {
      std::uint32_t right[4];
      load_matrix_x4_transposed(
          right, swizzled<kDim>(b + n / 4 * 64, step * 16 + low * 8 + inner, n % 4 * 2 + high));
      const std::uint32_t first[2] = {right[0], right[1]};
      const std::uint32_t second[2] = {right[2], right[3]};
#pragma unroll
      for (int r = 0; r < kRowTiles; ++r) {
        mma_m16n8k16<T>(sums[r][2 * n], left[r], first);
        mma_m16n8k16<T>(sums[r][2 * n + 1], left[r], second);
      }
    }
  }
}

template <int kRowTiles, int kCount>
__device__ __forceinline__ void clear(float (&sums)[kRowTiles][kCount][4]) {
#pragma unroll
  for (auto& row_tile : sums) {
#pragma unroll
    for (auto& values : row_tile) {
#pragma unroll
      for (float& x : values) x = 0.0f;
    }
  }
}

/// Row within the warp's rows, and column, of element i of sums[r][n].
__device__ __forceinline__ int sum_row(int r, int i) { return 16 * r + i / 2 * 8 + lane_idx() / 4; }
__device__ __forceinline__ int sum_column(int n, int i) {
  return n * 8 + lane_idx() % 4 * 2 + i % 2;
}

/// Rounds the sums of a warp to T and writes them to global memory, through the warp's own rows of
/// `tile`, which nobody else uses any more: whole rows of 16-byte pieces where these are aligned.
/// `warp_row`: row of the warp's first row in `tile` and `to`.
template <int kDim, class T, int kRowTiles>
__device__ __forceinline__ void write_rows(const float (&sums)[kRowTiles][kDim / 8][4],
                                           int warp_row, T* tile, const GlobalRows<T>& to) {
  sync_warp();
#pragma unroll
  for (int r = 0; r < kRowTiles; ++r) {
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        T* const at = swizzled<kDim>(tile, warp_row + sum_row(r, 2 * half), n);
        *reinterpret_cast<std::uint32_t*>(at + lane_idx() % 4 * 2) =
            pack2<T>(sums[r][n][2 * half], sums[r][n][2 * half + 1]);
      }
    }
  }
  sync_warp();
  constexpr int kChunks = kDim / 8;
#pragma unroll 2
  for (int i = lane_idx(); i < 16 * kRowTiles * kChunks; i += 32) {
    const int row = warp_row + i / kChunks;
    const int column = i % kChunks * 8;
    if (row >= to.rows || column >= to.columns) continue;
    const Vector<T> values = load_vector(swizzled<kDim>(tile, row, i % kChunks));
    T* const at = to.first + row * to.stride + column;
    if (to.aligned) {
      store_vector(at, values);
      continue;
    }
#pragma unroll
    for (int x = 0; x < 8; ++x) {
      if (column + x < to.columns) at[x] = values.x[x];
    }
  }
}

}  // namespace attnlab::cuda
