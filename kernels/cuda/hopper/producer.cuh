// The producer warpgroup: one thread asks the copy engine for tiles, three warps look after values
// that masked weights must not touch.
#pragma once

#include "kernels/cuda/hopper/forward_tile.cuh"

namespace attnlab::cuda::hopper {

/// Run by one thread. Keys go one block ahead of values, as consumers use them, and the first keys
/// of a tile ahead of its queries, whose place is taken until the last tile's outputs have left.
template <class Tile>
__device__ void produce(const TensorMap* q_map, const TensorMap* k_map, const TensorMap* v_map,
                        const ForwardParams<typename Tile::T>& params,
                        const SharedLayout<Tile>& shared) {
  Barriers<Tile>& barriers = shared.barriers();
  RingPosition k_at, v_at;
  int q_parity = 0;
  for_each_tile(params, [&](const QueryTile& tile) {
    const KeyBlocks blocks = params.template blocks<Tile::kTileK>(tile);
    const int kv_head = params.kv_head(tile.head);
    const auto load_keys = [&](int block) {
      mbarrier_wait(&barriers.k_empty[k_at.stage], k_at.parity ^ 1);
      load_panels<Tile::kPanels>(shared.keys(k_at.stage), Tile::kKeyPanelBytes, k_map,
                                 &barriers.k_full[k_at.stage], block * Tile::kTileK, kv_head,
                                 tile.batch_idx);
      k_at.advance();
    };
    const int last = blocks.first + blocks.count - 1;
    if (blocks.count > 0) load_keys(last);
    for (int group = 0; group < Tile::kConsumers; ++group) {
      mbarrier_wait(&barriers.q_empty[group], q_parity ^ 1);
      load_panels<Tile::kPanels>(shared.queries(group), Tile::kQueryPanelBytes, q_map,
                                 &barriers.q_full[group], tile.q_begin + group * kGroupRows,
                                 tile.head, tile.batch_idx);
    }
    q_parity ^= 1;
    for (int block = last; block >= blocks.first; --block) {
      if (block > blocks.first) load_keys(block - 1);
      mbarrier_wait(&barriers.v_empty[v_at.stage], v_at.parity ^ 1);
      load_panels<Tile::kPanels>(shared.values(v_at.stage), Tile::kKeyPanelBytes, v_map,
                                 &barriers.v_full[v_at.stage], block * Tile::kTileK, kv_head,
                                 tile.batch_idx);
      v_at.advance();
    }
  });
}

/// Run by the checking warps, `thread` counted among them. A weight that is masked is 0, but 0 *
/// NaN is not: in partial blocks, where weights are masked, values are made finite before consumers
/// read them. Consumers add what was taken away to the rows that see it (repair_outputs).
template <class Tile>
__device__ void check_values(const ForwardParams<typename Tile::T>& params,
                             const SharedLayout<Tile>& shared, int thread) {
  Barriers<Tile>& barriers = shared.barriers();
  RingPosition v_at;
  for_each_tile(params, [&](const QueryTile& tile) {
    const KeyBlocks blocks = params.template blocks<Tile::kTileK>(tile);
    for (int block = blocks.first + blocks.count - 1; block >= blocks.first; --block) {
      mbarrier_wait(&barriers.v_full[v_at.stage], v_at.parity);
      bool repaired = false;
      if (blocks.template is_partial<Tile::kTileK>(block)) {
        repaired = clear_non_finite<typename Tile::T>(shared.values(v_at.stage), Tile::kKeyBytes,
                                                      thread, kCheckingWarps * 32);
        fence_proxy_async();
      }
      repaired = any_in_warp(repaired);
      // What the lanes wrote comes before the arrival of the first.
      sync_warp();
      if (lane_idx() == 0) {
        barriers.v_repaired[v_at.stage][thread / 32] = repaired ? 1 : 0;
        mbarrier_arrive(&barriers.v_checked[v_at.stage]);
        mbarrier_arrive(&barriers.v_empty[v_at.stage]);
      }
      v_at.advance();
    }
  });
}

}  // namespace attnlab::cuda::hopper
