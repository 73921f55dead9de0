// dO times values relative to a center: what the gradients of queries are sums of, and the
// gradient of the denominator too.
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

/// dO times values of the same chunk, times keys.
template <class T, class Tile>
class QueryGradientPass {
  using Scalar = typename Tile::Scalar;
  using Element = typename Tile::Element;

 public:
  static constexpr bool kScalesValues = false;

  __device__ QueryGradientPass(const Call<Scalar>& call, const Memory<Tile>& memory,
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

  const Call<Scalar>& call_;
  const Memory<Tile>& memory_;
  const Place place_;
  const std::int64_t kv_head_;
  const int column_tile_;
  const Gates<Tile> gates_;
  const Scalar* const center_;
};

}  // namespace attnlab::cuda::linear
