// Products of 64x64 tiles on ordinary cores, for float32 and float64. Same interface as
// mma_tile.cuh: the kernels take either as a template parameter.
#pragma once

#include "kernels/cuda/linear/tile_products.cuh"

namespace attnlab::cuda::linear {

/// Sums of a 64x64 tile in the registers of 256 threads: thread (y, x) of 16x16 has rows 4y..4y+3
/// and columns x, x+16, x+32, x+48. Every sum adds its products one after the other in order of
/// depth.
template <class Acc>
struct SimtTile {
  using Scalar = Acc;
  using Element = Acc;  ///< of the operands in shared memory
  static constexpr int kThreads = 256;
  static constexpr int kBlocks = 1;
  /// Elements from row to row: 16 rows of one column, 16 bytes each, lie in different banks.
  static constexpr int kStride = kTile + 16 / static_cast<int>(sizeof(Acc));
  static constexpr bool kScaled = false;
  static constexpr bool kPairsInRegisters = false;

  Acc values[4][4];

  __device__ static int first_row() { return thread_idx() / 16 * 4; }
  __device__ static int first_column() { return thread_idx() % 16; }

  __device__ static Element to_element(Acc x) { return x; }
  __device__ static Acc to_scalar(Element x) { return x; }

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) values[i][j] = Acc(0);
    }
  }

  /// function(row, column, sum&) for the sums of this thread.
  template <class F>
  __device__ __forceinline__ void for_each(const F& function) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) function(first_row() + i, first_column() + 16 * j, values[i][j]);
    }
  }

  /// += other * factor(row).
  template <class F>
  __device__ __forceinline__ void add_rows(const SimtTile& other, const F& factor) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Acc row_factor = factor(first_row() + i);
#pragma unroll
      for (int j = 0; j < 4; ++j) values[i][j] += other.values[i][j] * row_factor;
    }
  }

  /// += a * b over `depth` (a multiple of 16); both in shared memory, stored as kOperands says.
  template <Operands kOperands>
  __device__ __forceinline__ void multiply(const Element* a, const Element* b, int depth) {
    for (int k = 0; k < depth; k += 4) {
      Acc left[4][4];  // [row][depth]
      load_left<kOperands>(a, k, left);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int column = first_column() + 16 * j;
        Acc right[4];
        if constexpr (kOperands == Operands::kRowsByRows) {
          load_four(b + column * kStride + k, right);
        } else {
#pragma unroll
          for (int x = 0; x < 4; ++x) right[x] = b[(k + x) * kStride + column];
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
#pragma unroll
          for (int x = 0; x < 4; ++x) values[i][j] += left[i][x] * right[x];
        }
      }
    }
  }

  /// += pairs * b over `depth` columns of the pairs. `memory`: one tile for them; a warp writes and
  /// reads rows of its own.
  __device__ __forceinline__ void multiply_pairs(const SimtTile& pairs, Element* memory,
                                                 const Element* b, int depth) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        memory[(first_row() + i) * kStride + first_column() + 16 * j] = pairs.values[i][j];
      }
    }
    sync_warp();
    multiply<Operands::kRowsByColumns>(memory, b, depth);
  }

  /// Element by element.
  __device__ __forceinline__ void multiply_elements(const SimtTile& other) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) values[i][j] *= other.values[i][j];
    }
  }

  /// sums[row] += the sum of function(row, column, value) over the columns; `sums` in shared memory
  /// belongs to one thread of the row.
  template <class F>
  __device__ __forceinline__ void add_row_sums(Acc* sums, const F& function) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      Acc sum(0);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        sum += function(first_row() + i, first_column() + 16 * j, values[i][j]);
      }
#pragma unroll
      for (int lanes = 8; lanes > 0; lanes /= 2) sum += shuffle_xor(sum, lanes);
      if (first_column() == 0) sums[first_row() + i] += sum;
    }
  }

 private:
  __device__ __forceinline__ static void load_four(const Acc* from, Acc (&to)[4]) {
    constexpr int kSize = Vector<Acc>::kSize;
#pragma unroll
    for (int x = 0; x < 4; x += kSize) {
      const Vector<Acc> vector = load_vector(from + x);
#pragma unroll
      for (int y = 0; y < kSize; ++y) to[x + y] = vector.x[y];
    }
  }

  template <Operands kOperands>
  __device__ __forceinline__ static void load_left(const Acc* a, int k, Acc (&left)[4][4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if constexpr (kOperands == Operands::kColumnsByColumns) {
        Acc rows[4];
        load_four(a + (k + i) * kStride + first_row(), rows);
#pragma unroll
        for (int r = 0; r < 4; ++r) left[r][i] = rows[r];
      } else {
        load_four(a + (first_row() + i) * kStride + k, left[i]);
      }
    }
  }
};

}  // namespace attnlab::cuda::linear
