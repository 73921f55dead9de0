// dk and dv of linear attention: a sweep backward in time, with the states R = sum of D phi(q) G^T
// and the sums of D c phi(q) over later chunks. A block sums over the heads of the group.
#pragma once

#include "kernels/cuda/linear/query_gradients.cuh"

namespace attnlab::cuda::linear {

/// What dk and dv have in common: a tile of keys of one kv head, and the queries of one head of the
/// group at a time, weighted with 1 / denominator.
template <class T, class Tile>
class KeyPass {
 protected:
  using Scalar = typename Tile::Scalar;
  using Element = typename Tile::Element;

 public:
  static constexpr bool kScalesValues = true;

  __device__ KeyPass(const Call<Scalar>& call, const Memory<Tile>& memory, const Place& place,
                     int column_tile)
      : call_(call),
        memory_(memory),
        place_(place),
        column_tile_(column_tile),
        gates_(memory, nullptr),
        last_of_chunk_((place.tile / call.layout.chunk_tiles + 1) * call.layout.chunk() - 1) {}

  /// Goes on with another head of the group. A barrier must follow.
  __device__ void set_head(std::int64_t head) {
    head_ = head;
    gates_.set(decays_of(call_, place_.batch_idx, head));
    gates_.load_rows(place_.tile);
  }

  __device__ int value_depth(std::int64_t tile) const {
    return depth_of(count_in_tile(tile, call_.shape().seqlen_q));
  }
  /// Weights, c and gates of a tile of queries. float16 gets weights around 1.
  __device__ void load_columns(std::int64_t tile) {
    const std::int64_t first = first_token() + tile * kTile;
    const int count = count_in_tile(tile, call_.shape().seqlen_q);
    Scalar weight(0);
    if (thread_idx() < count) weight = call_.workspace.reciprocals[first + thread_idx()];
    if constexpr (Tile::kScaled) {
      const Scalar size = weight < Scalar(0) ? -weight : weight;
      value_factor_ = power_of_two_below(
          block_max(is_finite(size) ? size : Scalar(0), Tile::kThreads / 32, memory_.scratch));
      weight *= Scalar(1) / value_factor_;
    }
    load_numbers(memory_.column_weights, count, [&](int) { return weight; });
    load_numbers(memory_.column_shifts, count,
                 [&](int i) { return call_.workspace.c_keys[first + i]; });
    gates_.load_columns(tile);
  }
  __device__ void add_weights(Tile& /*pairs*/) const {}
  __device__ Scalar value_factor() const { return value_factor_; }

  /// What becomes of the state after the chunk, at this row.
  __device__ Scalar gate_to_end(int row) const { return gates_.to_end(row, last_of_chunk_); }

 protected:
  __device__ Scalar pair_weight(int row, int column) const {
    return memory_.column_weights[column] * gates_.column_after_row(row, column);
  }
  __device__ Place queries(std::int64_t tile) const { return {place_.batch_idx, head_, tile}; }
  /// dO; rows without a denominator have no gradient, whatever they hold.
  __device__ bool load_grad_out(std::int64_t tile, int x, Element* to) const {
    const Scalar* const reciprocals = call_.workspace.reciprocals + first_token() + tile * kTile;
    return load_rows<Tile, T>(call_.args.grad_out, queries(tile), x, call_.aligned, to,
                              [&](int row, int, Scalar value) {
                                return reciprocals[row] == Scalar(0) ? Scalar(0) : value;
                              });
  }
  __device__ std::int64_t first_token() const {
    return (place_.batch_idx * call_.shape().heads + head_) * call_.shape().seqlen_q;
  }

  const Call<Scalar>& call_;
  const Memory<Tile>& memory_;
  const Place place_;  ///< of the keys
  const int column_tile_;
  Gates<Tile> gates_;
  const std::int64_t last_of_chunk_;
  std::int64_t head_ = 0;
  Scalar value_factor_{1};
};

/// dk: values times dO, times queries.
template <class T, class Tile>
class KeyGradientPass : public KeyPass<T, Tile> {
  using Base = KeyPass<T, Tile>;
  using typename Base::Element;
  using typename Base::Scalar;

 public:
  static constexpr Operands kStateOperands = Operands::kRowsByRows;

  __device__ KeyGradientPass(const Call<Scalar>& call, const Memory<Tile>& memory,
                             const Place& place, int column_tile)
      : Base(call, memory, place, column_tile),
        center_(center_of(call, place.batch_idx, place.head * call.group(), call.layout.k_chunks)) {
  }

  __device__ int depth_tiles() const { return this->call_.layout.dim_v_tiles; }
  __device__ int depth(int x) const {
    return depth_of(count_in_tile(x, this->call_.shape().head_dim_v));
  }
  __device__ void load_left(int x, Element* to) const {
    load_centered<Tile, T>(this->call_.args.v, this->place_, x, this->call_.aligned, center_, to);
  }
  __device__ void load_right(std::int64_t tile, int x, Element* to) const {
    this->load_grad_out(tile, x, to);
  }
  __device__ Scalar weigh(int row, int column, Scalar pair) const {
    return (pair + this->memory_.column_shifts[column]) * this->pair_weight(row, column);
  }
  __device__ bool load_values(std::int64_t tile, Element* to) const {
    return load_features<Tile, T>(this->call_.options().feature_map, this->call_.args.q,
                                  this->queries(tile), this->column_tile_, this->call_.aligned, to);
  }
  /// Tile of a state that meets left tile x.
  __device__ std::int64_t state_offset(int x) const {
    return this->column_tile_ * kTile * this->call_.layout.dim_v() + x * kTile;
  }

 private:
  const Scalar* const center_;
};

/// dv: keys times queries, times dO.
template <class T, class Tile>
class ValueGradientPass : public KeyPass<T, Tile> {
  using Base = KeyPass<T, Tile>;
  using typename Base::Element;
  using typename Base::Scalar;

 public:
  static constexpr Operands kStateOperands = Operands::kRowsByColumns;

  using Base::Base;

  __device__ int depth_tiles() const { return this->call_.layout.dim_tiles; }
  __device__ int depth(int x) const {
    return depth_of(count_in_tile(x, this->call_.shape().head_dim));
  }
  __device__ void load_left(int x, Element* to) const {
    load_features<Tile, T>(this->call_.options().feature_map, this->call_.args.k, this->place_, x,
                           this->call_.aligned, to);
  }
  __device__ void load_right(std::int64_t tile, int x, Element* to) const {
    load_features<Tile, T>(this->call_.options().feature_map, this->call_.args.q,
                           this->queries(tile), x, this->call_.aligned, to);
  }
  __device__ Scalar weigh(int row, int column, Scalar pair) const {
    return pair * this->pair_weight(row, column);
  }
  __device__ bool load_values(std::int64_t tile, Element* to) const {
    return this->load_grad_out(tile, this->column_tile_, to);
  }
  __device__ std::int64_t state_offset(int x) const {
    return x * kTile * this->call_.layout.dim_v() + this->column_tile_ * kTile;
  }
};

/// Grid: tiles of keys of all kv heads, tiles of head_dim (dk) or head_dim_v (dv).
template <template <class, class> class Pass, class T, class Tile>
__global__ __launch_bounds__(Tile::kThreads, Tile::kBlocks) void key_gradient_kernel(
    const __grid_constant__ Call<typename Tile::Scalar> call) {
  using Scalar = typename Tile::Scalar;
  constexpr bool kKeys = std::is_same_v<Pass<T, Tile>, KeyGradientPass<T, Tile>>;
  const Memory<Tile> memory(call.left_tiles);
  const AttentionShape& shape = call.shape();
  const Layout& layout = call.layout;
  const bool causal = call.options().causal;
  const Place place = place_of_block(shape.kv_heads, (shape.seqlen_k + kTile - 1) / kTile);
  const int column_tile = block_idx_y();
  Pass<T, Tile> pass(call, memory, place, column_tile);
  Tile total;
  total.clear();

  LeftTiles<Tile> left{memory.left, call.left_tiles >= pass.depth_tiles(), false};
  const std::int64_t chunk = place.tile / layout.chunk_tiles;
  const std::int64_t last_tile = (shape.seqlen_q + kTile - 1) / kTile;
  const std::int64_t chunk_end = (chunk + 1) * layout.chunk_tiles;
  // Where not causal, one state holds the queries of the whole group.
  const std::int64_t members = causal ? call.group() : 1;
  for (std::int64_t member = 0; member < members; ++member) {
    const std::int64_t head = place.head * call.group() + member;
    sync_threads();
    pass.set_head(head);
    Tile sum;
    sum.clear();
    if (!causal || chunk + 1 < layout.q_chunks) {
      const std::int64_t slot =
          (place.batch_idx * shape.heads + head) * layout.q_chunks + (causal ? chunk : 0);
      const Scalar* const state = call.workspace.states + slot * layout.state_size();
      for (int x = 0; x < pass.depth_tiles(); ++x) {
        sync_threads();
        if (!left.loaded) pass.load_left(x, left.at(x));
        const Scalar factor = load_state<Tile>(state + pass.state_offset(x), layout.dim_v(),
                                               memory.right, memory.scratch);
        sync_threads();
        add_product<Pass<T, Tile>::kStateOperands>(
            left.at(x), memory.right, pass.depth(x),
            [&](int row) { return factor * pass.gate_to_end(row); }, sum);
      }
      left.loaded = left.resident;
      if (kKeys && call.options().normalize) {
        const Scalar* const c_sums =
            call.workspace.totals + slot * layout.dim() + column_tile * kTile;
        sum.for_each([&](int row, int column, Scalar& value) {
          value += pass.gate_to_end(row) * c_sums[column];
        });
      }
    }
    if (causal) {
      add_pairs<Triangle::kUpper>(pass, memory, place.tile, place.tile,
                                  chunk_end < last_tile ? chunk_end : last_tile, left, sum);
    }
    if (kKeys && call.has_decay()) {
      store_dots<T, Tile>(call, memory, call.args.k, place, head, column_tile,
                          layout.dim_tiles + column_tile, sum);
      left.loaded = false;
    }
    total.add_rows(sum, [](int) { return Scalar(1); });
  }

  sync_threads();
  total.for_each([&](int row, int column, Scalar& value) {
    memory.result()[row * Memory<Tile>::kResultStride + column] = value;
  });
  sync_threads();
  const FeatureMapKind kind = call.options().feature_map;
  if constexpr (kKeys) {
    store_result<Tile, T, true>(
        memory, call.args.grad_k, call.args.k, place, column_tile, call.aligned,
        [&](Scalar value, Scalar x) { return value * feature_slope(kind, x); });
  } else {
    store_result<Tile, T, false>(memory, call.args.grad_v, call.args.v, place, column_tile,
                                 call.aligned, [](Scalar value, Scalar) { return value; });
  }
}

}  // namespace attnlab::cuda::linear
