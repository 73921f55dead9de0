// dq of linear attention: a sweep forward in time, with the states of the forward pass relative to
// the mean of their values.
#pragma once

#include "kernels/cuda/linear/gradient_pass.cuh"

namespace attnlab::cuda::linear {

/// Sums of phi(x) . d phi(x) over a tile of columns, for the gradient of log_decay. Uses the first
/// left tile; begins and ends with a barrier.
template <class T, class Tile>
__device__ __forceinline__ void store_dots(const Call<typename Tile::Scalar>& call,
                                           const Memory<Tile>& memory, const TensorView& input,
                                           const Place& place, std::int64_t head, int column_tile,
                                           int slot, Tile& gradient) {
  using Scalar = typename Tile::Scalar;
  const AttentionShape& shape = call.shape();
  sync_threads();
  load_features<Tile, T>(call.options().feature_map, input, place, column_tile, call.aligned,
                         memory.left);
  load_numbers(memory.scratch, 0, [](int) { return 0; });
  sync_threads();
  gradient.add_row_sums(memory.scratch, [&](int row, int column, Scalar value) {
    return value * Tile::to_scalar(memory.left[row * Tile::kStride + column]);
  });
  sync_threads();
  const std::int64_t token = place.tile * kTile + thread_idx();
  if (thread_idx() < kTile && token < shape.seqlen_q) {
    const std::int64_t row =
        (place.batch_idx * shape.heads + head) * 2 * call.layout.dim_tiles + slot;
    call.workspace.dots[row * shape.seqlen_q + token] = memory.scratch[thread_idx()];
  }
}

/// Grid: tiles of queries of all heads, tiles of head_dim.
template <class T, class Tile>
__global__ __launch_bounds__(Tile::kThreads, Tile::kBlocks) void query_gradient_kernel(
    const __grid_constant__ Call<typename Tile::Scalar> call) {
  using Scalar = typename Tile::Scalar;
  const Memory<Tile> memory(call.left_tiles);
  const Layout& layout = call.layout;
  const Place place =
      place_of_block(call.shape().heads, (call.shape().seqlen_q + kTile - 1) / kTile);
  const int column_tile = block_idx_y();
  QueryGradientPass<T, Tile> pass(call, memory, place, column_tile);
  pass.load_own();
  Tile sum;
  sum.clear();

  LeftTiles<Tile> left{memory.left, call.left_tiles >= layout.dim_v_tiles, false};
  const std::int64_t slot = state_slot(call, place);
  if (slot >= 0) {
    const Scalar* const state =
        call.workspace.states + slot * layout.state_size() + column_tile * kTile * layout.dim_v();
    for (int x = 0; x < layout.dim_v_tiles; ++x) {
      sync_threads();
      pass.load_left(x, left.at(x));
      const Scalar factor =
          load_state<Tile>(state + x * kTile, layout.dim_v(), memory.right, memory.scratch);
      sync_threads();
      add_product<Operands::kRowsByRows>(
          left.at(x), memory.right, pass.depth(x),
          [&](int row) { return factor * pass.gate_from_start(row); }, sum);
    }
    left.loaded = left.resident;
    if (call.options().normalize) {
      const Scalar* const z = call.workspace.totals + slot * layout.dim() + column_tile * kTile;
      sum.for_each([&](int row, int column, Scalar& value) {
        value += memory.row_shifts[row] * pass.gate_from_start(row) * z[column];
      });
    }
  }
  if (call.options().causal) {
    add_pairs<Triangle::kLower>(pass, memory, place.tile, first_tile_of_chunk(layout, place.tile),
                                place.tile + 1, left, sum);
  }

  sync_threads();
  // Queries with a denominator of 0 have the gradient 0.
  sum.for_each([&](int row, int, Scalar& value) {
    const Scalar reciprocal = memory.row_weights[row];
    value = reciprocal == Scalar(0) ? Scalar(0) : value * reciprocal;
  });
  if (call.has_decay()) {
    store_dots<T, Tile>(call, memory, call.args.q, place, place.head, column_tile, column_tile,
                        sum);
  }
  sync_threads();
  sum.for_each([&](int row, int column, Scalar& value) {
    memory.result()[row * Memory<Tile>::kResultStride + column] = value;
  });
  sync_threads();
  const FeatureMapKind kind = call.options().feature_map;
  store_result<Tile, T, true>(
      memory, call.args.grad_q, call.args.q, place, column_tile, call.aligned,
      [&](Scalar value, Scalar x) { return value * feature_slope(kind, x); });
}

}  // namespace attnlab::cuda::linear
