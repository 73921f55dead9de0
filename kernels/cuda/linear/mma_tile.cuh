// Products of 64x64 tiles on tensor cores, for bfloat16 and float16. Same interface as
// simt_tile.cuh.
#pragma once

#include <type_traits>

#include "kernels/cuda/linear/tile_products.cuh"

namespace attnlab::cuda::linear {

/// Sums of a 64x64 tile in the registers of 128 threads: warp w has rows 16w..16w+15 in the layout
/// of mma_m16n8k16's accumulators, eight of them side by side.
template <class T>
struct MmaTile {
  using Scalar = float;
  using Element = T;
  static constexpr int kThreads = 128;
  /// Whether sums are scaled before they become operands, whose range is small.
  static constexpr bool kScaled = std::is_same_v<T, float16>;
  static constexpr bool kPairsInRegisters = true;
  /// Blocks of a multiprocessor that registers must do for.
  static constexpr int kBlocks = kScaled ? 2 : 3;
  /// 8 rows of 16 bytes lie in different banks.
  static constexpr int kStride = kTile + 8;

  float values[8][4];

  __device__ static Element to_element(float x) {
    return {static_cast<std::uint16_t>(pack2<T>(x, 0.0f))};
  }
  __device__ static float to_scalar(Element x) { return to_float(x); }

  __device__ static int row_of(int i) { return warp_idx() * 16 + lane_idx() / 4 + i / 2 * 8; }
  __device__ static int column_of(int n, int i) { return n * 8 + lane_idx() % 4 * 2 + i % 2; }

  __device__ void clear() {
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) values[n][i] = 0.0f;
    }
  }

  template <class F>
  __device__ __forceinline__ void for_each(const F& function) {
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) function(row_of(i), column_of(n, i), values[n][i]);
    }
  }

  /// += other * factor(row).
  template <class F>
  __device__ __forceinline__ void add_rows(const MmaTile& other, const F& factor) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float row_factor = factor(row_of(2 * half));
#pragma unroll
      for (int n = 0; n < 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          values[n][i] += other.values[n][i] * row_factor;
        }
      }
    }
  }

  template <Operands kOperands>
  __device__ __forceinline__ void multiply(const Element* a, const Element* b, int depth) {
    // Lane 8m+i gives row i of matrix m of four: two halves of rows or columns, two of depth.
    const int inner = lane_idx() % 8;
    const int low = lane_idx() / 8 % 2 * 8;
    const int high = lane_idx() / 16 * 8;
    const int row = warp_idx() * 16;
    for (int k = 0; k < depth; k += 16) {
      std::uint32_t left[4];
      if constexpr (kOperands == Operands::kColumnsByColumns) {
        load_matrix_x4_transposed(left, a + (k + high + inner) * kStride + row + low);
      } else {
        load_matrix_x4(left, a + (row + low + inner) * kStride + k + high);
      }
      add_step<kOperands>(left, b, k);
    }
  }

  /// += pairs * b over `depth` columns of the pairs, straight from their registers: accumulators
  /// of two neighbouring eights of columns are an operand of depth 16.
  __device__ __forceinline__ void multiply_pairs(const MmaTile& pairs, Element* /*memory*/,
                                                 const Element* b, int depth) {
#pragma unroll
    for (int k = 0; k < kTile; k += 16) {
      if (k >= depth) break;
      const float(&low)[4] = pairs.values[k / 8];
      const float(&high)[4] = pairs.values[k / 8 + 1];
      const std::uint32_t left[4] = {pack2<T>(low[0], low[1]), pack2<T>(low[2], low[3]),
                                     pack2<T>(high[0], high[1]), pack2<T>(high[2], high[3])};
      add_step<Operands::kRowsByColumns>(left, b, k);
    }
  }

  /// Element by element.
  __device__ __forceinline__ void multiply_elements(const MmaTile& other) {
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) values[n][i] *= other.values[n][i];
    }
  }

  template <class F>
  __device__ __forceinline__ void add_row_sums(float* sums, const F& function) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = row_of(2 * half);
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < 8; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          sum += function(row, column_of(n, i), values[n][2 * half + i]);
        }
      }
      sum += shuffle_xor(sum, 2);
      sum += shuffle_xor(sum, 1);
      if (lane_idx() % 4 == 0) sums[row] += sum;
    }
  }

 private:
  /// The products of 16 columns of depth from k on.
  template <Operands kOperands>
  __device__ __forceinline__ void add_step(const std::uint32_t (&left)[4], const Element* b,
                                           int k) {
    // Lane 8m+i gives row i of matrix m of four: two halves of columns, two of depth.
    const int inner = lane_idx() % 8;
    const int low = lane_idx() / 8 % 2 * 8;
    const int high = lane_idx() / 16 * 8;
#pragma unroll
    for (int n = 0; n < 8; n += 2) {
      std::uint32_t right[4];
      if constexpr (kOperands == Operands::kRowsByRows) {
        load_matrix_x4(right, b + (n * 8 + high + inner) * kStride + k + low);
      } else {
        load_matrix_x4_transposed(right, b + (k + low + inner) * kStride + n * 8 + high);
      }
      const std::uint32_t first[2] = {right[0], right[1]};
      const std::uint32_t second[2] = {right[2], right[3]};
      mma_m16n8k16<T>(values[n], left, first);
      mma_m16n8k16<T>(values[n + 1], left, second);
    }
  }
};

}  // namespace attnlab::cuda::linear
