// The part of linear attention inside a chunk: pairs of tokens, tile by tile.
#pragma once

#include "kernels/cuda/linear/memory.cuh"

namespace attnlab::cuda::linear {

/// Which pairs of a diagonal tile there are.
enum class Triangle {
  kLower,  ///< rows are queries: columns up to the row
  kUpper,  ///< rows are keys: columns from the row on
};

template <Triangle kSide>
__device__ __forceinline__ bool in_triangle(int row, int column) {
  return kSide == Triangle::kLower ? column <= row : column >= row;
}

/// NaN and infinities of `values` reach the rows of the triangle that they belong to and become 0
/// in `values`, so that a product with the zeros of the other side is 0. Rare and slow. All threads
/// take part; ends with a barrier.
template <Triangle kSide, class Tile>
__device__ __forceinline__ void isolate_non_finite(const typename Tile::Element* pairs,
                                                   typename Tile::Element* values, Tile& sum) {
  using Scalar = typename Tile::Scalar;
  for (int k = 0; k < kTile; ++k) {
    sum.for_each([&](int row, int column, Scalar& value) {
      const Scalar x = Tile::to_scalar(values[k * Tile::kStride + column]);
      if (in_triangle<kSide>(row, k) && !is_finite(x)) {
        value += Tile::to_scalar(pairs[row * Tile::kStride + k]) * x;
      }
    });
  }
  sync_threads();
  for (int i = thread_idx(); i < kTile * kTile; i += Tile::kThreads) {
    typename Tile::Element& x = values[i / kTile * Tile::kStride + i % kTile];
    if (!is_finite(Tile::to_scalar(x))) x = Tile::to_element(Scalar(0));
  }
  sync_threads();
}

/// sum += factor(row) * (a * b).
template <Operands kOperands, class Tile, class F>
__device__ __forceinline__ void add_product(const typename Tile::Element* a,
                                            const typename Tile::Element* b, int depth,
                                            const F& factor, Tile& sum) {
  Tile product;
  product.clear();
  product.template multiply<kOperands>(a, b, depth);
  sum.add_rows(product, factor);
}

/// Where a pass keeps its left operand: all tiles of depth, or one that is loaded again and again.
template <class Tile>
struct LeftTiles {
  typename Tile::Element* first;
  bool resident;
  bool loaded;  ///< all of them

  __device__ typename Tile::Element* at(int x) const {
    return first + (resident ? x * Memory<Tile>::kTileSize : 0);
  }
};

/// pairs = left * right^T, summed over the tiles of depth; `tile`: the other tokens. With
/// kValues, their values are loaded as well; returns whether any of a diagonal tile is NaN or
/// infinite. Begins with a barrier and ends without one: others may still read left and right.
template <bool kValues, class Tile, class Pass>
__device__ __forceinline__ bool multiply_pair(Pass& pass, const Memory<Tile>& memory,
                                              std::int64_t tile, bool diagonal,
                                              LeftTiles<Tile>& left, Tile& pairs) {
  pairs.clear();
  bool bad = false;
  for (int x = 0; x < pass.depth_tiles(); ++x) {
    sync_threads();
    if (!left.loaded) pass.load_left(x, left.at(x));
    pass.load_right(tile, x, memory.right);
    if (x == 0) {
      pass.load_columns(tile);
      if constexpr (kValues) bad = pass.load_values(tile, memory.values);
    }
    if (kValues && diagonal && x == 0) {
      bad = sync_threads_or(bad);
    } else {
      sync_threads();
    }
    pairs.template multiply<Operands::kRowsByRows>(left.at(x), memory.right, pass.depth(x));
  }
  left.loaded = left.resident;
  return kValues && diagonal && bad;
}

/// The pairs weighed, masked and rounded to an operand.
template <Triangle kSide, class Tile, class Pass>
__device__ __forceinline__ void weigh_pairs(const Pass& pass, bool diagonal, Tile& pairs) {
  using Scalar = typename Tile::Scalar;
  pairs.for_each([&](int row, int column, Scalar& value) {
    const bool kept = !diagonal || in_triangle<kSide>(row, column);
    const Scalar weight = kept ? pass.weigh(row, column, value) : Scalar(0);
    value = Tile::to_scalar(Tile::to_element(weight));
  });
}

/// sum += weigh(left * right^T) * values over the tiles [begin, end) of tokens, of which `own` is
/// the diagonal one. Needs no barrier before it and none after it but for the memory of results.
///
/// A pass says what the operands are: depth_tiles(), depth(x), load_left(x, to), load_right(tile,
/// x, to), load_columns(tile) (numbers of the other tokens), weigh(row, column, pair),
/// add_weights(pairs) (takes note of what weighs), load_values(tile, to) (whether it stored NaN or
/// infinities) and value_factor().
template <Triangle kSide, class Tile, class Pass>
__device__ __forceinline__ void add_pairs(Pass& pass, const Memory<Tile>& memory, std::int64_t own,
                                          std::int64_t begin, std::int64_t end,
                                          LeftTiles<Tile>& left, Tile& sum) {
  using Scalar = typename Tile::Scalar;
  for (std::int64_t tile = begin; tile < end; ++tile) {
    const bool diagonal = tile == own;
    Tile pairs;
    const bool bad = multiply_pair<true>(pass, memory, tile, diagonal, left, pairs);
    weigh_pairs<kSide>(pass, diagonal, pairs);
    pass.add_weights(pairs);
    if (bad) {
      sync_threads();
      pairs.for_each([&](int row, int column, Scalar& value) {
        memory.pairs[row * Tile::kStride + column] = Tile::to_element(value);
      });
      sync_threads();
      isolate_non_finite<kSide>(memory.pairs, memory.values, sum);
    }
    const int depth = pass.value_depth(tile);
    if constexpr (Tile::kScaled && Pass::kScalesValues) {
      const Scalar factor = pass.value_factor();
      Tile product;
      product.clear();
      product.multiply_pairs(pairs, memory.pairs, memory.values, depth);
      sum.add_rows(product, [&](int) { return factor; });
    } else {
      sum.multiply_pairs(pairs, memory.pairs, memory.values, depth);
    }
  }
}

}  // namespace attnlab::cuda::linear
