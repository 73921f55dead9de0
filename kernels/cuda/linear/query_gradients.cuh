// dq of linear attention: a sweep forward in time, with the states of the forward pass relative to
// the mean of their values.
#pragma once

#include "kernels/cuda/linear/token_terms.cuh"

namespace attnlab::cuda::linear {

/// dO times values of the same chunk, times keys.
template <class T, class Tile>
class QueryGradientPass {
  using Scalar = typename Tile::Scalar;
  using Element = typename Tile::Element;

 public:
  static constexpr bool kScalesValues = false;

  __device__ QueryGradientPass(const Call<T, Scalar>& call, const Memory<Tile>& memory,
                               const Place& place, int column_tile)
      : call_(call),
        memory_(memory),
        place_(place),
        kv_head_(place.head / call.group()),
        column_tile_(column_tile),
        gates_(memory, decays_of(call, place.batch_idx, place.head)),
        center_(center_before(call, place)) {}

  __device__ int depth_tiles() const { return call_.layout.dim_v_tiles; }
  __device__ int depth(int x) const { return depth_of(count_in_tile(x, call_.shape().head_dim_v)); }
  __device__ int value_depth(std::int64_t tile) const {
    return depth_of(count_in_tile(tile, call_.shape().seqlen_k));
  }
  __device__ void load_left(int x, Element* to) const {
    load_centered<Tile, T>(call_.args.grad_out, place_, x, call_.aligned, nullptr, to);
  }
  __device__ void load_right(std::int64_t tile, int x, Element* to) const {
    load_centered<Tile, T>(call_.args.v, other(tile), x, call_.aligned, center_, to);
  }
  __device__ void load_columns(std::int64_t tile) const { gates_.load_columns(tile); }
  __device__ Scalar weigh(int row, int column, Scalar pair) const {
    return (pair + memory_.row_shifts[row]) * gates_.row_after_column(row, column);
  }
  __device__ void add_weights(Tile& /*pairs*/) const {}
  __device__ bool load_values(std::int64_t tile, Element* to) const {
    return load_features<Tile, T>(call_.options().feature_map, call_.args.k, other(tile),
                                  column_tile_, call_.aligned, to);
  }

  /// Numbers of the block's own tokens. A barrier must follow.
  __device__ void load_own() const {
    const std::int64_t first =
        (place_.batch_idx * call_.shape().heads + place_.head) * call_.shape().seqlen_q +
        place_.tile * kTile;
    const int count = count_in_tile(place_.tile, call_.shape().seqlen_q);
    load_numbers(memory_.row_shifts, count,
                 [&](int i) { return call_.workspace.c_queries[first + i]; });
    load_numbers(memory_.row_weights, count,
                 [&](int i) { return call_.workspace.reciprocals[first + i]; });
    gates_.load_rows(place_.tile);
  }
  __device__ Scalar gate_from_start(int row) const { return gates_.from_start(row); }

 private:
  __device__ Place other(std::int64_t tile) const { return {place_.batch_idx, kv_head_, tile}; }

  const Call<T, Scalar>& call_;
  const Memory<Tile>& memory_;
  const Place place_;
  const std::int64_t kv_head_;
  const int column_tile_;
  const Gates<Tile> gates_;
  const Scalar* const center_;
};

/// Sums of phi(x) . d phi(x) over a tile of columns, for the gradient of log_decay. Uses the first
/// left tile; begins and ends with a barrier.
template <class T, class Tile>
__device__ __forceinline__ void store_dots(const Call<T, typename Tile::Scalar>& call,
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
__global__ __launch_bounds__(Tile::kThreads, 1) void query_gradient_kernel(
    const __grid_constant__ Call<T, typename Tile::Scalar> call) {
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

  bool left_is_loaded = false;
  const std::int64_t slot = state_slot(call, place);
  if (slot >= 0) {
    const Scalar* const state =
        call.workspace.states + slot * layout.state_size() + column_tile * kTile * layout.dim_v();
    for (int x = 0; x < layout.dim_v_tiles; ++x) {
      sync_threads();
      pass.load_left(x, memory.left_tile(x));
      const Scalar factor =
          load_state<Tile>(state + x * kTile, layout.dim_v(), memory.right, memory.scratch);
      sync_threads();
      add_product<Operands::kRowsByRows>(
          memory.left_tile(x), memory.right, pass.depth(x),
          [&](int row) { return factor * pass.gate_from_start(row); }, sum);
    }
    left_is_loaded = memory.left_is_resident(layout.dim_v_tiles);
    if (call.options().normalize) {
      const Scalar* const z = call.workspace.totals + slot * layout.dim() + column_tile * kTile;
      sum.for_each([&](int row, int column, Scalar& value) {
        value += memory.row_shifts[row] * pass.gate_from_start(row) * z[column];
      });
    }
  }
  if (call.options().causal) {
    add_pairs<Triangle::kLower>(pass, memory, place.tile, first_tile_of_chunk(layout, place.tile),
                                place.tile + 1, left_is_loaded, sum);
  }

  sync_threads();
  // Queries with a denominator of 0 have the gradient 0.
  sum.for_each([&](int row, int, Scalar& value) {
    const Scalar reciprocal = memory.row_weights[row];
    value = reciprocal == Scalar(0) ? Scalar(0) : value * reciprocal;
  });
  if (call.has_decay()) {
    store_dots(call, memory, call.args.q, place, place.head, column_tile, column_tile, sum);
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
