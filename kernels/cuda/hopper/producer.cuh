// The producer warpgroup: one thread asks the copy engine for tiles, three warps look after values
// that masked weights must not touch.
#pragma once

#include "kernels/cuda/hopper/forward_tile.cuh"

namespace attnlab::cuda::hopper {

/// A tile of rows from `row` on, panel by panel.
template <int kPanels>
__device__ __forceinline__ void load_panels(std::byte* shared, int panel_bytes,
                                            const TensorMap* map, Mbarrier* full, int row, int head,
                                            int batch_idx) {
  mbarrier_arrive_expect(full, kPanels * panel_bytes);
#pragma unroll
  for (int panel = 0; panel < kPanels; ++panel) {
    tma_load_4d(shared + panel * panel_bytes, map, full, panel * kPanel, row, head, batch_idx);
  }
}

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

/// Both 16-bit halves of `pair` with NaN and infinities replaced by 0.
template <class T>
__device__ __forceinline__ std::uint32_t finite_or_zero(std::uint32_t pair) {
  constexpr std::uint32_t kExponent = std::is_same_v<T, bfloat16> ? 0x7f80u : 0x7c00u;
  if ((pair & kExponent) == kExponent) pair &= 0xffff0000u;
  if ((pair & (kExponent << 16)) == kExponent << 16) pair &= 0x0000ffffu;
  return pair;
}

/// Makes a tile of values finite. Returns whether an element of this thread was not.
template <class Tile>
__device__ bool make_finite(std::byte* values, int thread) {
  struct alignas(16) Chunk {
    std::uint32_t pairs[4];
  };
  bool repaired = false;
  auto* chunks = reinterpret_cast<Chunk*>(values);
#pragma unroll 1
  for (int i = thread; i < Tile::kKeyBytes / 16; i += kCheckingWarps * 32) {
    Chunk chunk = chunks[i];
    bool changed = false;
#pragma unroll
    for (std::uint32_t& pair : chunk.pairs) {
      const std::uint32_t finite = finite_or_zero<typename Tile::T>(pair);
      changed |= finite != pair;
      pair = finite;
    }
    if (changed) chunks[i] = chunk;
    repaired |= changed;
  }
  return repaired;
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
        repaired = make_finite<Tile>(shared.values(v_at.stage), thread);
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
