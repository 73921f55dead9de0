// What the backward pass needs of every query: 1 / denominator, summed as in the forward pass, and
// c = -dO . (O - center) for both centers (linear_backward.cu). O is summed again, relative to the
// center: the one that was stored is rounded to the size of the values, and c is small where they
// have a common mean.
#pragma once

#include "kernels/cuda/linear/gradient_pass.cuh"

namespace attnlab::cuda::linear {

/// Adds the weights to memory.sums, and weights times (dO . (v - center)) to memory.scratch, summed
/// over what came before the chunk.
template <class T, class Tile>
__device__ __forceinline__ void add_state_terms(const Call<typename Tile::Scalar>& call,
                                                const Memory<Tile>& memory,
                                                const QueryKeyPass<T, Tile>& keys,
                                                const QueryGradientPass<T, Tile>& values,
                                                LeftTiles<Tile>& queries, LeftTiles<Tile>& grads,
                                                std::int64_t slot) {
  using Scalar = typename Tile::Scalar;
  const Layout& layout = call.layout;
  const Scalar* const state = call.workspace.states + slot * layout.state_size();
  for (int y = 0; y < layout.dim_v_tiles; ++y) {
    Tile sum;
    sum.clear();
    for (int x = 0; x < layout.dim_tiles; ++x) {
      sync_threads();
      if (!queries.loaded) keys.load_left(x, queries.at(x));
      if (x == 0 && !grads.loaded) values.load_left(y, grads.at(y));
      const Scalar factor = load_state<Tile>(state + x * kTile * layout.dim_v() + y * kTile,
                                             layout.dim_v(), memory.right, memory.column_weights);
      sync_threads();
      if (y == 0) {
        add_state_weights<T, Tile>(keys, memory, queries.at(x), x,
                                   call.workspace.totals + slot * layout.dim());
      }
      add_product<Operands::kRowsByColumns>(
          queries.at(x), memory.right, keys.depth(x), [&](int) { return factor; }, sum);
    }
    queries.loaded = queries.resident;
    sum.add_row_sums(memory.scratch, [&](int row, int column, Scalar value) {
      return value * Tile::to_scalar(grads.at(y)[row * Tile::kStride + column]) *
             keys.gate_from_start(row);
    });
  }
  grads.loaded = grads.resident;
}

/// The same over the tokens of the chunk.
template <class T, class Tile>
__device__ __forceinline__ void add_pair_terms(const Memory<Tile>& memory,
                                               QueryKeyPass<T, Tile>& keys,
                                               QueryGradientPass<T, Tile>& values,
                                               LeftTiles<Tile>& queries, LeftTiles<Tile>& grads,
                                               std::int64_t begin, std::int64_t own) {
  using Scalar = typename Tile::Scalar;
  for (std::int64_t tile = begin; tile <= own; ++tile) {
    const bool diagonal = tile == own;
    Tile weights;
    multiply_pair<false>(keys, memory, tile, diagonal, queries, weights);
    weigh_pairs<Triangle::kLower>(keys, diagonal, weights);
    keys.add_weights(weights);
    Tile products;
    multiply_pair<false>(values, memory, tile, diagonal, grads, products);
    weights.multiply_elements(products);
    weights.add_row_sums(memory.scratch, [&](int row, int column, Scalar value) {
      // What a later token's value makes NaN is not part of the sum.
      return !diagonal || in_triangle<Triangle::kLower>(row, column) ? value : Scalar(0);
    });
  }
}

/// Grid: tiles of queries of all heads.
template <class T, class Tile>
__global__ __launch_bounds__(Tile::kThreads, Tile::kBlocks) void token_terms_kernel(
    const __grid_constant__ Call<typename Tile::Scalar> call) {
  using Scalar = typename Tile::Scalar;
  const Memory<Tile> memory(1);
  const Layout& layout = call.layout;
  const AttentionShape& shape = call.shape();
  const Place place = place_of_block(shape.heads, (shape.seqlen_q + kTile - 1) / kTile);
  const std::int64_t token = place.tile * kTile + thread_idx();
  const bool own_token = thread_idx() < kTile && token < shape.seqlen_q;
  const std::int64_t index = (place.batch_idx * shape.heads + place.head) * shape.seqlen_q + token;
  const Workspace<Scalar>& workspace = call.workspace;
  if (!call.options().normalize) {
    if (own_token) {
      workspace.reciprocals[index] = Scalar(1);
      workspace.c_queries[index] = workspace.c_keys[index] = Scalar(0);
    }
    return;
  }

  QueryKeyPass<T, Tile> keys(call, memory, place, 0);
  QueryGradientPass<T, Tile> values(call, memory, place, 0);
  keys.load_own();
  load_numbers(memory.scratch, 0, [](int) { return 0; });
  load_numbers(memory.row_shifts, 0, [](int) { return 0; });
  LeftTiles<Tile> queries{memory.left, layout.dim_tiles == 1, false};
  LeftTiles<Tile> grads{memory.values, layout.dim_v_tiles == 1, false};
  const std::int64_t slot = state_slot(call, place);
  if (slot >= 0) add_state_terms(call, memory, keys, values, queries, grads, slot);
  if (call.options().causal) {
    add_pair_terms(memory, keys, values, queries, grads, first_tile_of_chunk(layout, place.tile),
                   place.tile);
  }

  // From one center to the other.
  const Scalar* const before = center_before(call, place);
  const Scalar* const all = center_of(call, place.batch_idx, place.head, layout.k_chunks);
  for (int x = 0; before != all && x < layout.dim_v_tiles; ++x) {
    sync_threads();
    if (!grads.loaded) values.load_left(x, grads.at(x));
    load_numbers(memory.column_shifts, kTile,
                 [&](int i) { return before[x * kTile + i] - all[x * kTile + i]; });
    sync_threads();
    add_row_dots<Tile>(
        grads.at(x), memory.column_shifts, [](int) { return Scalar(1); }, memory.row_shifts);
  }
  sync_threads();
  if (!own_token) return;
  const Scalar denominator = memory.sums[thread_idx()];
  const bool defined = denominator != Scalar(0);
  const Scalar c = -memory.scratch[thread_idx()] / denominator;
  workspace.reciprocals[index] = defined ? Scalar(1) / denominator : Scalar(0);
  workspace.c_queries[index] = defined ? c : Scalar(0);
  workspace.c_keys[index] = defined ? c - memory.row_shifts[thread_idx()] : Scalar(0);
}

}  // namespace attnlab::cuda::linear
