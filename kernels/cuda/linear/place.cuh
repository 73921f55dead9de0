// Which part of a call a block works on, and what its kernels load and store.
#pragma once

#include "kernels/cuda/linear/memory.cuh"

namespace attnlab::cuda::linear {

/// A tile of tokens of one head.
struct Place {
  std::int64_t batch_idx, head, tile;
};

/// The x index of the grid counts tiles of tokens, then heads, then batch items.
__device__ __forceinline__ Place place_of_block(std::int64_t heads, std::int64_t tiles) {
  const std::int64_t block = block_idx_x();
  return {block / tiles / heads, block / tiles % heads, block % tiles};
}

/// Tile (`tile`, `x`) of a tensor, element by element through map(row, column, value).
template <class Tile, class T, class Map>
__device__ __forceinline__ bool load_rows(const TensorView& tensor, const Place& place, int x,
                                          bool aligned, typename Tile::Element* to,
                                          const Map& map) {
  const auto view = tensor.as<const T>();
  return load_tile<Tile>(view.row(place.batch_idx, place.head, place.tile * kTile) + x * kTile,
                         view.strides[2], count_in_tile(place.tile, view.sizes[2]),
                         count_in_tile(x, view.sizes[3]), aligned, to, map);
}

/// The same through the feature map.
template <class Tile, class T>
__device__ __forceinline__ bool load_features(FeatureMapKind kind, const TensorView& tensor,
                                              const Place& place, int x, bool aligned,
                                              typename Tile::Element* to) {
  using Scalar = typename Tile::Scalar;
  return load_rows<Tile, T>(tensor, place, x, aligned, to,
                            [&](int, int, Scalar value) { return feature(kind, value); });
}

/// Writes tile (`tile`, `x`) of a tensor from `result` in shared memory, through map(value, input)
/// with the element of `input` at the same place. Without kReadsInput that is 0.
template <class Tile, class T, bool kReadsInput, class Map>
__device__ __forceinline__ void store_result(const Memory<Tile>& memory, const TensorView& tensor,
                                             const TensorView& input, const Place& place, int x,
                                             bool aligned, const Map& map) {
  using Scalar = typename Tile::Scalar;
  constexpr int kSize = Vector<T>::kSize;
  const auto to = tensor.as<T>();
  const auto from = input.as<const T>();
  const int rows = count_in_tile(place.tile, to.sizes[2]);
  const int columns = count_in_tile(x, to.sizes[3]);
  for (int item = thread_idx(); item < rows * (kTile / kSize); item += Tile::kThreads) {
    const int row = item / (kTile / kSize);
    const int column = item % (kTile / kSize) * kSize;
    if (column >= columns) continue;
    const std::int64_t token = place.tile * kTile + row;
    T* const target = to.row(place.batch_idx, place.head, token) + x * kTile + column;
    const T* const source = from.row(place.batch_idx, place.head, token) + x * kTile + column;
    const Scalar* values = memory.result() + row * Memory<Tile>::kResultStride + column;
    if (aligned) {
      Vector<T> in{};
      if constexpr (kReadsInput) in = load_vector(source);
      Vector<T> out;
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        out.x[i] = narrow<T>(map(values[i], static_cast<Scalar>(widen(in.x[i]))));
      }
      store_vector(target, out);
    } else {
      for (int i = 0; i < kSize && column + i < columns; ++i) {
        const T in = kReadsInput ? source[i] : T{};
        target[i] = narrow<T>(map(values[i], static_cast<Scalar>(widen(in))));
      }
    }
  }
}

/// sums[row] += factor(row) * (tile[row] . vector) over 64 columns; `vector` in global memory. The
/// thread of a row differs from that of Tile::add_row_sums: a barrier between them.
template <class Tile, class F>
__device__ __forceinline__ void add_row_dots(const typename Tile::Element* tile,
                                             const typename Tile::Scalar* vector, const F& factor,
                                             typename Tile::Scalar* sums) {
  constexpr int kParts = Tile::kThreads / kTile;
  const int row = thread_idx() / kParts;
  const int part = thread_idx() % kParts;
  typename Tile::Scalar sum(0);
  for (int c = part; c < kTile; c += kParts) {
    sum += Tile::to_scalar(tile[row * Tile::kStride + c]) * vector[c];
  }
  for (int lanes = kParts / 2; lanes > 0; lanes /= 2) sum += shuffle_xor(sum, lanes);
  if (part == 0) sums[row] += factor(row) * sum;
}

}  // namespace attnlab::cuda::linear
