// The sums of every chunk: features times rows, [D][E], and the features themselves, [D]. Forward
// in time those of phi(k) and v; backward in time those of phi(q) / denominator and dO.
#pragma once

#include "kernels/cuda/linear/gates.cuh"
#include "kernels/cuda/linear/pairs.cuh"

namespace attnlab::cuda::linear {

/// sums[column] of the values of a chunk, for a tile of columns. Begins and ends with a barrier.
template <class T, class Tile>
__device__ void sum_values(const TensorView& v, const Place& place, int x, std::int64_t begin,
                           std::int64_t end, typename Tile::Scalar* partial,
                           typename Tile::Scalar* sums) {
  using Scalar = typename Tile::Scalar;
  constexpr int kParts = Tile::kThreads / kTile;
  const auto view = v.as<const T>();
  const int column = thread_idx() % kTile;
  const int part = thread_idx() / kTile;
  Scalar sum(0);
  if (column < count_in_tile(x, view.sizes[3])) {
    for (std::int64_t token = begin + part; token < end; token += kParts) {
      sum += static_cast<Scalar>(
          widen(view.row(place.batch_idx, place.head, token)[x * kTile + column]));
    }
  }
  sync_threads();
  partial[thread_idx()] = sum;
  sync_threads();
  if (part == 0) {
    for (int p = 1; p < kParts; ++p) sum += partial[p * kTile + column];
    sums[column] = sum;
  }
  sync_threads();
}

/// Grid: chunks of all state heads (queries: of all heads), tiles of the state. One tile of the
/// state per block, over the tiles of tokens of a chunk.
template <States kStates, class T, class Tile>
__global__ __launch_bounds__(Tile::kThreads, Tile::kBlocks) void states_kernel(
    const __grid_constant__ Call<typename Tile::Scalar> call) {
  using Scalar = typename Tile::Scalar;
  constexpr bool kQueries = kStates == States::kQueries;
  const Memory<Tile> memory(1);
  const AttentionShape& shape = call.shape();
  const Layout& layout = call.layout;
  const std::int64_t seqlen = kQueries ? shape.seqlen_q : shape.seqlen_k;
  const std::int64_t heads = kQueries ? shape.heads : call.state_heads();
  const Place slot = place_of_block(heads, kQueries ? layout.q_chunks : layout.k_chunks);
  // Without decay the keys' states are counted by kv heads.
  const bool by_query_heads = kQueries || call.has_decay();
  const std::int64_t kv_head = by_query_heads ? slot.head / call.group() : slot.head;
  const std::int64_t tensor_head = kQueries ? slot.head : kv_head;
  const std::int64_t query_head = slot.batch_idx * shape.heads + slot.head;
  const LogDecay* const decays = decays_of(call, slot.batch_idx, slot.head);
  const int x = block_idx_y() / layout.dim_v_tiles;
  const int y = block_idx_y() % layout.dim_v_tiles;
  const std::int64_t begin = slot.tile * layout.chunk();
  const std::int64_t end = begin + layout.chunk() < seqlen ? begin + layout.chunk() : seqlen;

  Scalar* const centers = memory.sums;
  if constexpr (kStates == States::kCenteredKeys) {
    const Place place{slot.batch_idx, kv_head, 0};
    sum_values<T, Tile>(call.args.v, place, y, begin, end, reinterpret_cast<Scalar*>(memory.right),
                        centers);
    if (thread_idx() < kTile) {
      if (x == 0) {
        call.workspace.value_sums[block_idx_x() * layout.dim_v() + y * kTile + thread_idx()] =
            centers[thread_idx()];
      }
      centers[thread_idx()] *= Scalar(1) / static_cast<Scalar>(end > begin ? end - begin : 1);
    }
  }

  Tile sum;
  sum.clear();
  Scalar feature_sum(0);  // of column thread_idx() of the first threads
  for (std::int64_t t = begin; t < end; t += kTile) {
    const Place place{slot.batch_idx, tensor_head, t / kTile};
    const int count = count_in_tile(place.tile, seqlen);
    // Weights of the features' rows; float16 gets them around 1.
    Scalar factor(1);
    Scalar weight(0);
    if (thread_idx() < count) {
      const std::int64_t token = t + thread_idx();
      weight = Scalar(1);
      if (decays != nullptr) {
        weight = kQueries ? gate_from_start<Scalar>(decays[token])
                          : gate_between<Scalar>(decays[begin + layout.chunk() - 1], decays[token]);
      }
      if (kQueries) weight *= call.workspace.reciprocals[query_head * shape.seqlen_q + token];
    }
    if constexpr (Tile::kScaled && kQueries) {
      factor =
          power_of_two_below(block_max(is_finite(weight) && weight > Scalar(0) ? weight : -weight,
                                       Tile::kThreads / 32, memory.scratch));
      weight *= Scalar(1) / factor;
    }
    sync_threads();
    if (thread_idx() < kTile) {
      memory.row_weights[thread_idx()] = weight;
      if (kQueries && thread_idx() < count) {
        memory.row_shifts[thread_idx()] =
            call.workspace.c_keys[query_head * shape.seqlen_q + t + thread_idx()];
      }
    }
    sync_threads();
    const FeatureMapKind kind = call.options().feature_map;
    load_rows<Tile, T>(
        kQueries ? call.args.q : call.args.k, place, x, call.aligned, memory.left,
        [&](int row, int, Scalar value) { return feature(kind, value) * memory.row_weights[row]; });
    load_rows<Tile, T>(kQueries ? call.args.grad_out : call.args.v, place, y, call.aligned,
                       memory.right, [&](int row, int column, Scalar value) {
                         if (kStates == States::kCenteredKeys) return value - centers[column];
                         // A query with a denominator of 0 has no gradient, whatever dO is.
                         if (kQueries && memory.row_weights[row] == Scalar(0)) return Scalar(0);
                         return value;
                       });
    sync_threads();
    add_product<Operands::kColumnsByColumns>(
        memory.left, memory.right, depth_of(count), [&](int) { return factor; }, sum);
    if (y == 0 && thread_idx() < kTile) {
      Scalar part(0);
      for (int row = 0; row < count; ++row) {
        const Scalar value = Tile::to_scalar(memory.left[row * Tile::kStride + thread_idx()]);
        part += kQueries ? value * memory.row_shifts[row] : value;
      }
      feature_sum += part * factor;
    }
  }
  if (y == 0 && thread_idx() < kTile) {
    call.workspace.sums[block_idx_x() * layout.dim() + x * kTile + thread_idx()] = feature_sum;
  }
  Scalar* const state = call.workspace.states + block_idx_x() * layout.state_size() +
                        x * kTile * layout.dim_v() + y * kTile;
  sum.for_each(
      [&](int row, int column, Scalar& value) { state[row * layout.dim_v() + column] = value; });
}

}  // namespace attnlab::cuda::linear
