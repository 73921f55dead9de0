// From output sums to out and lse: repair where values were not finite, normalisation, and the way
// through shared memory to whole lines of global memory.
#pragma once

#include "kernels/cuda/hopper/consumer.cuh"

namespace attnlab::cuda::hopper {

template <class T>
__device__ __forceinline__ bool is_finite(T x) {
  const float value = to_float(x);
  return value - value == 0.0f;
}

/// Adds the NaN and infinities of partial blocks to the output sums of the rows that see them: the
/// products were made without (see check_values). Rare, so straight from global memory.
template <class Tile>
__device__ __forceinline__ void repair_outputs(const ForwardParams<typename Tile::T>& params,
                                               const QueryTile& tile, const KeyBlocks& blocks,
                                               const RowRanges& seen,
                                               float (&out)[Tile::kDim / 2]) {
  using T = typename Tile::T;
  const int kv_head = params.kv_head(tile.head);
  const int lane_column = lane_idx() % 4 * 2;
  const int head_dim_v = static_cast<int>(params.shape.head_dim_v);
  const int lowest = seen.begin[0] < seen.begin[1] ? seen.begin[0] : seen.begin[1];
  const int highest = seen.end[0] > seen.end[1] ? seen.end[0] : seen.end[1];
#pragma unroll 1
  for (int key = lowest; key < highest; ++key) {
    if (!blocks.template is_partial<Tile::kTileK>(key / Tile::kTileK)) continue;
    const T* values = params.v.row(tile.batch_idx, kv_head, key) + lane_column;
#pragma unroll
    for (int i = 0; i < Tile::kDim / 2; ++i) {
      const int column = fragment_column(i);
      if (lane_column + column >= head_dim_v) continue;
      const T value = values[column];
      if (!is_finite(value) && seen.contains(fragment_row(i), key)) out[i] += to_float(value);
    }
  }
}

/// Writes the outputs of a warpgroup, as T, to the place of its queries, which it has used up, and
/// starts their way to global memory; frees the place when they have left it. Rows and columns
/// beyond the tensor are dropped by the copy.
template <class Tile>
__device__ __forceinline__ void store_outputs(const Consumer<Tile>& consumer, const QueryTile& tile,
                                              const float (&out)[Tile::kDim / 2]) {
  using T = typename Tile::T;
  std::byte* place = consumer.shared.queries(consumer.group);
  // All warps of the group have read their queries.
  named_barrier_sync(group_barrier<Tile>(consumer.group), kWarpgroup);
  write_fragment<T, Tile::kDim>(place, out);
  fence_proxy_async();
  named_barrier_sync(group_barrier<Tile>(consumer.group), kWarpgroup);
  if (thread_idx() % kWarpgroup != 0) return;
  for (int panel = 0; panel < Tile::kPanels; ++panel) {
    tma_store_4d(consumer.out_map, place + panel * Tile::kQueryPanelBytes, panel * kPanel,
                 tile.q_begin + consumer.group * kGroupRows, tile.head, tile.batch_idx);
  }
  tma_store_commit();
  tma_store_wait_read<0>();
  mbarrier_arrive(&consumer.barriers.q_empty[consumer.group]);
}

/// One tile of a consumer warpgroup, from its queries to its outputs.
template <class Tile>
__device__ __forceinline__ void consume_tile(Consumer<Tile>& consumer, const QueryTile& tile) {
  using T = typename Tile::T;
  const ForwardParams<T>& params = consumer.params;
  const KeyBlocks blocks = params.template blocks<Tile::kTileK>(tile);
  const Mask mask = params.mask.mask(params.shape, tile.batch_idx);
  const int first_row = tile.q_begin + consumer.group * kGroupRows +
                        warp_idx() % kWarpsPerGroup * 16 + lane_idx() / 4;
  RowRanges seen;
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    const int q_idx = first_row + 8 * row;
    const IndexRange keys =
        q_idx < params.shape.seqlen_q ? mask.key_range(q_idx, q_idx + 1) : IndexRange{0, 0};
    seen.begin[row] = static_cast<int>(keys.begin);
    seen.end[row] = static_cast<int>(keys.end);
  }
  typename Consumer<Tile>::Sums sums;
#pragma unroll
  for (float& x : sums.out) x = 0.0f;
  sums.repaired = false;
  mbarrier_wait(&consumer.barriers.q_full[consumer.group], consumer.q_parity);
  consumer.q_parity ^= 1;
  if (blocks.count > 0) {
    consumer.attend(blocks, seen, params.scale * static_cast<float>(kLog2E), sums);
    if (sums.repaired) repair_outputs<Tile>(params, tile, blocks, seen, sums.out);
  }
  sums.states.finish_sums();
  float factors[2];
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    factors[row] = sums.states.row[row].normalizer();
    const int q_idx = first_row + 8 * row;
    if (lane_idx() % 4 == 0 && q_idx < params.shape.seqlen_q) {
      *params.lse.row(tile.batch_idx, tile.head, q_idx) = sums.states.row[row].finish();
    }
  }
  scale_rows(sums.out, factors);
  store_outputs(consumer, tile, sums.out);
}

}  // namespace attnlab::cuda::hopper
