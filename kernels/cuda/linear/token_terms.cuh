// What the backward pass needs of every query: 1 / denominator, summed as in the forward pass, and
// c = -dO . (O - center) for both centers (linear_backward.cu).
#pragma once

#include "kernels/cuda/linear/forward.cuh"

namespace attnlab::cuda::linear {

/// Center of the values that tokens of a chunk are taken relative to, or null for 0. `chunk`: of
/// the mean of the values before it; k_chunks: of all.
template <class Call>
__device__ __forceinline__ auto center_of(const Call& call, std::int64_t batch_idx,
                                          std::int64_t head, std::int64_t chunk)
    -> decltype(call.workspace.centers) {
  if (!call.has_centers()) return nullptr;
  const std::int64_t slots = call.layout.k_chunks + 1;
  return call.workspace.centers +
         (call.state_head(batch_idx, head) * slots + chunk) * call.layout.dim_v();
}

/// The center of the sweep forward for a tile of queries.
template <class Call>
__device__ __forceinline__ auto center_before(const Call& call, const Place& place) {
  const std::int64_t chunk =
      call.options().causal ? place.tile / call.layout.chunk_tiles : call.layout.k_chunks;
  return center_of(call, place.batch_idx, place.head, chunk);
}

/// Rows of values or outputs relative to a center.
template <class Tile, class T>
__device__ __forceinline__ bool load_centered(const TensorView& tensor, const Place& place, int x,
                                              bool aligned, const typename Tile::Scalar* center,
                                              typename Tile::Element* to) {
  using Scalar = typename Tile::Scalar;
  return load_rows<Tile, T>(tensor, place, x, aligned, to, [&](int, int column, Scalar value) {
    return center == nullptr ? value : value - center[x * kTile + column];
  });
}

/// -dO . (O - center) of the token of this thread. Summed in the order of a product of dO and v:
/// for a token that sees mostly itself O is close to v, and what is left of dO . v + c must not be
/// rounding.
template <class T, class Tile>
__device__ typename Tile::Scalar output_term(const Call<T, typename Tile::Scalar>& call,
                                             const Memory<Tile>& memory, const Place& place,
                                             const typename Tile::Scalar* center) {
  using Scalar = typename Tile::Scalar;
  Scalar term(0);
  for (int x = 0; x < call.layout.dim_v_tiles; ++x) {
    sync_threads();
    load_centered<Tile, T>(call.args.grad_out, place, x, call.aligned, nullptr, memory.right);
    load_centered<Tile, T>(call.args.out, place, x, call.aligned, center, memory.pairs);
    sync_threads();
    if (thread_idx() >= kTile) continue;
    const int row = thread_idx() * Tile::kStride;
    for (int c = 0; c < kTile; ++c) {
      term -= Tile::to_scalar(memory.right[row + c]) * Tile::to_scalar(memory.pairs[row + c]);
    }
  }
  return term;
}

/// Grid: tiles of queries of all heads.
template <class T, class Tile>
__global__ __launch_bounds__(Tile::kThreads, 1) void token_terms_kernel(
    const __grid_constant__ Call<T, typename Tile::Scalar> call) {
  using Scalar = typename Tile::Scalar;
  const Memory<Tile> memory(call.left_tiles);
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

  QueryKeyPass<T, Tile> pass(call, memory, place, 0);
  pass.load_own();
  bool left_is_loaded = false;
  const std::int64_t slot = state_slot(call, place);
  if (slot >= 0) {
    for (int x = 0; x < layout.dim_tiles; ++x) {
      sync_threads();
      pass.load_left(x, memory.left_tile(x));
      sync_threads();
      add_state_weights<T, Tile>(pass, memory, x, workspace.totals + slot * layout.dim());
    }
    left_is_loaded = memory.left_is_resident(layout.dim_tiles);
  }
  if (call.options().causal) {
    const std::int64_t begin = first_tile_of_chunk(layout, place.tile);
    for (std::int64_t tile = begin; tile <= place.tile; ++tile) {
      Tile pairs;
      multiply_pair(pass, memory, tile, !left_is_loaded, pairs);
      left_is_loaded = memory.left_is_resident(layout.dim_tiles);
      store_pairs<Triangle::kLower>(pass, memory, tile == place.tile, pairs);
      pass.add_weights(pairs);
    }
  }
  const Scalar* const before = center_before(call, place);
  const Scalar* const all = center_of(call, place.batch_idx, place.head, layout.k_chunks);
  const Scalar c_query = output_term<T, Tile>(call, memory, place, before);
  const Scalar c_key = before == all ? c_query : output_term<T, Tile>(call, memory, place, all);
  sync_threads();
  if (!own_token) return;
  const Scalar denominator = memory.sums[thread_idx()];
  const bool defined = denominator != Scalar(0);
  workspace.reciprocals[index] = defined ? Scalar(1) / denominator : Scalar(0);
  workspace.c_queries[index] = defined ? c_query : Scalar(0);
  workspace.c_keys[index] = defined ? c_key : Scalar(0);
}

}  // namespace attnlab::cuda::linear
