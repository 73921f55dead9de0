// Outputs of linear attention: out = (phi(q) S gate + sum over pairs of the chunk) / denominator.
// The denominators are sums of the weights themselves, as the product with v sees them, so that a
// token that sees only itself is weighted with 1.
#pragma once

#include "kernels/cuda/linear/gates.cuh"
#include "kernels/cuda/linear/pairs.cuh"

namespace attnlab::cuda::linear {

/// Queries times keys of the same chunk, times values.
template <class T, class Tile>
class QueryKeyPass {
  using Scalar = typename Tile::Scalar;
  using Element = typename Tile::Element;

 public:
  static constexpr bool kScalesValues = false;

  __device__ QueryKeyPass(const Call<Scalar>& call, const Memory<Tile>& memory, const Place& place,
                          int column_tile)
      : call_(call),
        memory_(memory),
        place_(place),
        kv_head_(place.head / call.group()),
        column_tile_(column_tile),
        gates_(memory, decays_of(call, place.batch_idx, place.head)) {}

  __device__ int depth_tiles() const { return call_.layout.dim_tiles; }
  __device__ int depth(int x) const { return depth_of(count_in_tile(x, call_.shape().head_dim)); }
  __device__ int value_depth(std::int64_t tile) const {
    return depth_of(count_in_tile(tile, call_.shape().seqlen_k));
  }
  __device__ void load_left(int x, Element* to) const {
    load_features<Tile, T>(call_.options().feature_map, call_.args.q, place_, x, call_.aligned, to);
  }
  __device__ void load_right(std::int64_t tile, int x, Element* to) const {
    load_features<Tile, T>(call_.options().feature_map, call_.args.k, other(tile), x, call_.aligned,
                           to);
  }
  __device__ void load_columns(std::int64_t tile) const { gates_.load_columns(tile); }
  __device__ Scalar weigh(int row, int column, Scalar pair) const {
    return pair * gates_.row_after_column(row, column);
  }
  __device__ void add_weights(Tile& pairs) const {
    if (!call_.options().normalize) return;
    pairs.add_row_sums(memory_.sums, [](int, int, Scalar value) { return value; });
  }
  __device__ bool load_values(std::int64_t tile, Element* to) const {
    return load_rows<Tile, T>(call_.args.v, other(tile), column_tile_, call_.aligned, to,
                              [](int, int, Scalar value) { return value; });
  }

  /// Gates of the block's own tokens, and sums of 0. A barrier must follow.
  __device__ void load_own() const {
    load_numbers(memory_.sums, 0, [](int) { return 0; });
    gates_.load_rows(place_.tile);
  }
  /// What becomes of the state before the chunk, at this row.
  __device__ Scalar gate_from_start(int row) const { return gates_.from_start(row); }

 private:
  __device__ Place other(std::int64_t tile) const { return {place_.batch_idx, kv_head_, tile}; }

  const Call<Scalar>& call_;
  const Memory<Tile>& memory_;
  const Place place_;
  const std::int64_t kv_head_;
  const int column_tile_;
  const Gates<Tile> gates_;
};

/// First tile of the chunk that a tile is in.
__device__ __forceinline__ std::int64_t first_tile_of_chunk(const Layout& layout,
                                                            std::int64_t tile) {
  return tile / layout.chunk_tiles * layout.chunk_tiles;
}

/// Slot of the state that a tile of queries sees, counted over heads; -1 where there is none.
template <class Call>
__device__ __forceinline__ std::int64_t state_slot(const Call& call, const Place& place) {
  const std::int64_t head = call.state_head(place.batch_idx, place.head) * call.layout.k_chunks;
  if (!call.options().causal) return head;
  const std::int64_t chunk = place.tile / call.layout.chunk_tiles;
  return chunk == 0 ? -1 : head + chunk;
}

/// Adds phi(q) . z to memory.sums: a tile of features and its part of z.
template <class T, class Tile>
__device__ __forceinline__ void add_state_weights(const QueryKeyPass<T, Tile>& pass,
                                                  const Memory<Tile>& memory,
                                                  const typename Tile::Element* features, int x,
                                                  const typename Tile::Scalar* z) {
  add_row_dots<Tile>(
      features, z + x * kTile, [&](int row) { return pass.gate_from_start(row); }, memory.sums);
}

/// Grid: tiles of queries of all heads, tiles of head_dim_v.
template <class T, class Tile>
__global__ __launch_bounds__(Tile::kThreads, Tile::kBlocks) void output_kernel(
    const __grid_constant__ Call<typename Tile::Scalar> call) {
  using Scalar = typename Tile::Scalar;
  const Memory<Tile> memory(call.left_tiles);
  const Layout& layout = call.layout;
  const Place place =
      place_of_block(call.shape().heads, (call.shape().seqlen_q + kTile - 1) / kTile);
  const int column_tile = block_idx_y();
  QueryKeyPass<T, Tile> pass(call, memory, place, column_tile);
  pass.load_own();
  Tile sum;
  sum.clear();

  LeftTiles<Tile> left{memory.left, call.left_tiles >= layout.dim_tiles, false};
  const std::int64_t slot = state_slot(call, place);
  if (slot >= 0) {
    const Scalar* const state =
        call.workspace.states + slot * layout.state_size() + column_tile * kTile;
    const Scalar* const z = call.workspace.totals + slot * layout.dim();
    for (int x = 0; x < layout.dim_tiles; ++x) {
      sync_threads();
      pass.load_left(x, left.at(x));
      const Scalar factor = load_state<Tile>(state + x * kTile * layout.dim_v(), layout.dim_v(),
                                             memory.right, memory.scratch);
      sync_threads();
      if (call.options().normalize) add_state_weights<T, Tile>(pass, memory, left.at(x), x, z);
      add_product<Operands::kRowsByColumns>(
          left.at(x), memory.right, pass.depth(x),
          [&](int row) { return factor * pass.gate_from_start(row); }, sum);
    }
    left.loaded = left.resident;
  }
  if (call.options().causal) {
    add_pairs<Triangle::kLower>(pass, memory, place.tile, first_tile_of_chunk(layout, place.tile),
                                place.tile + 1, left, sum);
  }

  sync_threads();
  const bool normalize = call.options().normalize;
  sum.for_each([&](int row, int column, Scalar& value) {
    const Scalar denominator = memory.sums[row];
    Scalar result = value;
    if (normalize) result = denominator == Scalar(0) ? Scalar(0) : value / denominator;
    memory.result()[row * Memory<Tile>::kResultStride + column] = result;
  });
  sync_threads();
  store_result<Tile, T, false>(memory, call.args.out, call.args.out, place, column_tile,
                               call.aligned, [](Scalar value, Scalar) { return value; });
}

}  // namespace attnlab::cuda::linear
