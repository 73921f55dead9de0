// Shared memory of a block of linear attention, and what is loaded into it.
#pragma once

#include <bit>
#include <type_traits>

#include "kernels/core/feature_map.h"
#include "kernels/cuda/linear/layout.h"
#include "kernels/cuda/linear/tile_products.cuh"

namespace attnlab::cuda::linear {

/// A block's shared memory: operand tiles [kTile][kStride] and numbers per row and column of a
/// tile.
template <class Tile>
struct Memory {
  using Element = typename Tile::Element;
  using Scalar = typename Tile::Scalar;
  static constexpr int kTileSize = kTile * Tile::kStride;
  /// Rows of a result on its way out.
  static constexpr int kResultStride = kTile + 16 / static_cast<int>(sizeof(Scalar));

  LogDecay* row_decays;     ///< [kTile] of the block's own tokens
  LogDecay* column_decays;  ///< [kTile] of the other tokens
  Scalar* row_weights;      ///< [kTile]
  Scalar* row_shifts;       ///< [kTile]
  Scalar* column_weights;
  Scalar* column_shifts;
  Scalar* sums;     ///< [kTile]
  Scalar* scratch;  ///< [kTile]
  Element* right;   ///< one tile
  Element* values;  ///< one tile
  Element* pairs;   ///< one tile; that of `right` where products take pairs from registers
  Element* left;    ///< as many tiles as asked for

  __device__ explicit Memory(int tiles) {
    std::byte* at = shared_memory();
    const auto take = [&](auto*& piece, int count) {
      piece = reinterpret_cast<std::remove_reference_t<decltype(piece)>>(at);
      at += count * static_cast<int>(sizeof(*piece));
    };
    take(right, kTileSize);
    take(values, kTileSize);
    pairs = right;
    if (!Tile::kPairsInRegisters) take(pairs, kTileSize);
    take(left, tiles * kTileSize);
    take(row_decays, kTile);
    take(column_decays, kTile);
    for (Scalar** piece :
         {&row_weights, &row_shifts, &column_weights, &column_shifts, &sums, &scratch}) {
      take(*piece, kTile);
    }
  }

  static constexpr int bytes(int tiles) {
    const int others = Tile::kPairsInRegisters ? 2 : 3;
    return static_cast<int>(((others + tiles) * kTileSize * sizeof(Element)) +
                            kTile * (2 * sizeof(LogDecay) + 6 * sizeof(Scalar)));
  }

  /// The memory of `right` and `values` as rows of a result.
  __device__ Scalar* result() const { return reinterpret_cast<Scalar*>(right); }
};

/// Tile `x` of `size` rows or columns: how many of them exist.
__device__ __forceinline__ int count_in_tile(std::int64_t x, std::int64_t size) {
  const std::int64_t rest = size - x * kTile;
  return static_cast<int>(rest < kTile ? (rest < 0 ? 0 : rest) : kTile);
}

/// `count` rounded up to what a product sums over.
__device__ __forceinline__ int depth_of(int count) {
  return (count + kDepthStep - 1) / kDepthStep * kDepthStep;
}

/// tile[row][column] = map(row, column, rows[row][column]), 0 outside. Returns whether this thread
/// has stored anything that is not finite.
template <class Tile, class T, class Map>
__device__ __forceinline__ bool load_tile(const T* rows, std::int64_t stride, int row_count,
                                          int column_count, bool aligned,
                                          typename Tile::Element* tile, const Map& map) {
  using Scalar = typename Tile::Scalar;
  using Element = typename Tile::Element;
  constexpr int kSize = Vector<T>::kSize;
  bool bad = false;
  for (int item = thread_idx(); item < kTile * kTile / kSize; item += Tile::kThreads) {
    const int row = item / (kTile / kSize);
    const int column = item % (kTile / kSize) * kSize;
    const T* from = rows + row * stride + column;
    Vector<T> values{};
    // Where rows are aligned their length is a multiple of a vector.
    if (row < row_count && aligned && column < column_count) {
      values = load_vector(from);
    } else if (row < row_count) {
#pragma unroll
      for (int x = 0; x < kSize; ++x) {
        if (column + x < column_count) values.x[x] = from[x];
      }
    }
    alignas(16) Element elements[kSize];
#pragma unroll
    for (int x = 0; x < kSize; ++x) {
      const bool inside = row < row_count && column + x < column_count;
      const Scalar value =
          inside ? map(row, column + x, static_cast<Scalar>(widen(values.x[x]))) : Scalar(0);
      elements[x] = Tile::to_element(value);
      bad = bad || !is_finite(Tile::to_scalar(elements[x]));
    }
    Element* to = tile + row * Tile::kStride + column;
    if constexpr (kSize * sizeof(Element) % 16 == 0) {
      constexpr int kStored = Vector<Element>::kSize;
#pragma unroll
      for (int x = 0; x < kSize; x += kStored) {
        store_vector(to + x, *reinterpret_cast<const Vector<Element>*>(elements + x));
      }
    } else {
#pragma unroll
      for (int x = 0; x < kSize; ++x) to[x] = elements[x];
    }
  }
  return bad;
}

template <class V>
__device__ __forceinline__ V feature(FeatureMapKind kind, V x) {
  if (kind == FeatureMapKind::kElu) return EluFeature::map(x);
  if (kind == FeatureMapKind::kRelu) return ReluFeature::map(x);
  return x;
}

/// d phi(x) / dx from x.
template <class V>
__device__ __forceinline__ V feature_slope(FeatureMapKind kind, V x) {
  const V value = feature(kind, x);
  if (kind == FeatureMapKind::kElu) return EluFeature::derivative_from_value(value);
  if (kind == FeatureMapKind::kRelu) return ReluFeature::derivative_from_value(value);
  return V(1);
}

/// Numbers per token of a tile: to[row] = function(row), 0 for tokens beyond the end.
template <class Scalar, class F>
__device__ __forceinline__ void load_numbers(Scalar* to, int count, const F& function) {
  const int row = thread_idx();
  if (row < kTile) to[row] = row < count ? static_cast<Scalar>(function(row)) : Scalar(0);
}

/// Largest power of two up to |x|; 1 for what has none that a float16 needs.
__device__ __forceinline__ float power_of_two_below(float x) {
  const std::uint32_t exponent = std::bit_cast<std::uint32_t>(x) & 0x7f800000u;
  if (exponent == 0 || exponent >= 0x7e000000u) return 1.0f;
  return std::bit_cast<float>(exponent);
}

/// Maximum over the block, the same for all threads; NaN does not count. `scratch` in shared
/// memory: a number per warp. All threads take part; begins and ends with a barrier.
template <class Scalar>
__device__ __forceinline__ Scalar block_max(Scalar x, int warps, Scalar* scratch) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const Scalar other = shuffle_xor(x, lanes);
    x = other > x ? other : x;
  }
  sync_threads();
  if (lane_idx() == 0) scratch[warp_idx()] = x;
  sync_threads();
  Scalar result = scratch[0];
  for (int w = 1; w < warps; ++w) result = scratch[w] > result ? scratch[w] : result;
  sync_threads();
  return result;
}

/// Loads a tile of a state ([rows][stride], accumulators). Returns what products with it must be
/// multiplied with: where operands have a small range (float16), the tile is scaled to numbers
/// around 1. All threads take part.
template <class Tile>
__device__ __forceinline__ typename Tile::Scalar load_state(const typename Tile::Scalar* state,
                                                            std::int64_t stride,
                                                            typename Tile::Element* tile,
                                                            typename Tile::Scalar* scratch) {
  using Scalar = typename Tile::Scalar;
  Scalar factor(1);
  Scalar inverse(1);
  if constexpr (Tile::kScaled) {
    Scalar largest(0);
    for (int i = thread_idx(); i < kTile * kTile; i += Tile::kThreads) {
      const Scalar x = state[i / kTile * stride + i % kTile];
      const Scalar size = x < Scalar(0) ? -x : x;
      largest = size > largest && is_finite(size) ? size : largest;
    }
    factor = power_of_two_below(block_max(largest, Tile::kThreads / 32, scratch));
    inverse = Scalar(1) / factor;
  }
  load_tile<Tile>(state, stride, kTile, kTile, true, tile,
                  [&](int, int, Scalar x) { return x * inverse; });
  return factor;
}

}  // namespace attnlab::cuda::linear
