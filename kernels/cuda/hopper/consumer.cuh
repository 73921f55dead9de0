// A consumer warpgroup: attention of 64 queries against the key blocks of its tile, last block
// first. Masks matter in the first blocks (causal, lengths) and, with a window, in the last ones.
//
// Dao et al. 2024 (FlashAttention-3, arXiv 2407.08608), section 3: the products with the next keys
// are issued before those with the last values, so that tensor cores work during the softmax
// (within a warpgroup), and warpgroups take turns in issuing products (between warpgroups).
#pragma once

#include "kernels/cuda/hopper/forward_tile.cuh"
#include "kernels/cuda/hopper/fragment.cuh"

namespace attnlab::cuda::hopper {

/// Named barriers: the turn of group g to issue products, and a barrier of group g alone.
__device__ inline int turn_barrier(int group) { return 1 + group; }
template <class Tile>
__device__ int group_barrier(int group) {
  return 1 + Tile::kConsumers + group;
}

template <class Tile>
struct Consumer {
  using T = typename Tile::T;

  const ForwardParams<T>& params;
  const SharedLayout<Tile>& shared;
  Barriers<Tile>& barriers;
  const TensorMap* out_map;
  int group;
  RingPosition k_at;
  RingPosition v_at;
  int q_parity = 0;

  /// What a tile's loop carries: dot products or weights, weights as operands, output sums.
  struct Sums {
    float scores[Tile::kTileK / 2];
    std::uint32_t weights[Tile::kTileK / 16][4];
    float out[Tile::kDim / 2];
    RowStates states;
    bool repaired;
  };

  __device__ __forceinline__ void wait_turn() const {
    named_barrier_sync(turn_barrier(group), 2 * kWarpgroup);
  }
  __device__ __forceinline__ void pass_turn() const {
    const int next = group + 1 == Tile::kConsumers ? 0 : group + 1;
    named_barrier_arrive(turn_barrier(next), 2 * kWarpgroup);
  }

  /// `release` by an arrival that needs the sums of weights (which are never below 0). Arrivals and
  /// waits keep their order, so a wait behind it comes after the softmax: without this dependence
  /// ptxas (13.0) moves the wait for P V ahead of the softmax, and nothing overlaps.
  __device__ __forceinline__ static void release_after(const RowStates& states, Mbarrier* empty) {
    sync_warp();
    const bool below = states.row[0].row_sum + states.row[1].row_sum < 0.0f;
    if (lane_idx() == 0 && !below) mbarrier_arrive(empty);
  }

  /// Starts scores = Q K^T with the keys of the current stage; one group.
  __device__ __forceinline__ void issue_scores(float (&scores)[Tile::kTileK / 2]) const {
    const std::uint64_t queries = descriptor(shared.queries(group), 0);
    const std::uint64_t keys = descriptor(shared.keys(k_at.stage), 0);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < Tile::kDim / 16; ++step) {
      const int panel = step / 4;
      const int within = step % 4 * 32;
      wgmma_m64k16<T, Tile::kTileK, false>(
          scores, advance(queries, panel * Tile::kQueryPanelBytes + within),
          advance(keys, panel * Tile::kKeyPanelBytes + within), step > 0);
    }
    wgmma_commit();
  }

  /// Starts out += P V with the values of the current stage; one group. Values are contiguous along
  /// the head dimension: a panel is one width of the swizzle.
  __device__ __forceinline__ void issue_outputs(Sums& sums) const {
    const std::uint64_t values = descriptor(shared.values(v_at.stage), Tile::kKeyPanelBytes);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < Tile::kTileK / 16; ++step) {
      wgmma_m64k16<T, Tile::kDim, true>(sums.out, sums.weights[step],
                                        advance(values, step * 16 * kPanelRowBytes), true);
    }
    wgmma_commit();
  }

  __device__ __forceinline__ void wait_values(bool partial, Sums& sums) const {
    if (!partial) {
      mbarrier_wait(&barriers.v_full[v_at.stage], v_at.parity);
      return;
    }
    mbarrier_wait(&barriers.v_checked[v_at.stage], v_at.parity);
    for (const int repaired : barriers.v_repaired[v_at.stage]) sums.repaired |= repaired != 0;
  }

  /// Products with the keys of `block` and with the values of the block before; then its softmax.
  template <bool kPartial>
  __device__ __forceinline__ void step(int block, bool last_partial, const RowRanges& seen,
                                       float scale, Sums& sums) {
    mbarrier_wait(&barriers.k_full[k_at.stage], k_at.parity);
    wait_turn();
    issue_scores(sums.scores);
    wait_values(last_partial, sums);
    issue_outputs(sums);
    pass_turn();
    wgmma_wait<1>();
    keep_accumulators(sums.scores);
    if constexpr (kPartial) mask_scores(sums.scores, seen, block * Tile::kTileK);
    float factors[2];
    softmax_step(sums.scores, sums.states, scale, factors);
    release_after(sums.states, &barriers.k_empty[k_at.stage]);
    k_at.advance();
    wgmma_wait<0>();
    keep_accumulators(sums.out);
    release(&barriers.v_empty[v_at.stage]);
    v_at.advance();
    scale_rows(sums.out, factors);
    pack_fragments<T>(sums.scores, sums.weights);
  }

  /// All key blocks of a tile, of which there is at least one. sums.out starts as 0.
  __device__ __forceinline__ void attend(const KeyBlocks& blocks, const RowRanges& seen,
                                         float scale, Sums& sums) {
    int block = blocks.first + blocks.count - 1;
    bool partial = blocks.template is_partial<Tile::kTileK>(block);
    float factors[2];
    mbarrier_wait(&barriers.k_full[k_at.stage], k_at.parity);
    issue_scores(sums.scores);
    wgmma_wait<0>();
    keep_accumulators(sums.scores);
    release(&barriers.k_empty[k_at.stage]);
    k_at.advance();
    if (partial) mask_scores(sums.scores, seen, block * Tile::kTileK);
    softmax_step(sums.scores, sums.states, scale, factors);
    pack_fragments<T>(sums.scores, sums.weights);

    while (block > blocks.first) {
      --block;
      const bool last_partial = partial;
      partial = blocks.template is_partial<Tile::kTileK>(block);
      if (partial) {
        step<true>(block, last_partial, seen, scale, sums);
      } else {
        step<false>(block, last_partial, seen, scale, sums);
      }
    }
    wait_values(partial, sums);
    issue_outputs(sums);
    wgmma_wait<0>();
    keep_accumulators(sums.out);
    release(&barriers.v_empty[v_at.stage]);
    v_at.advance();
  }
};

}  // namespace attnlab::cuda::hopper
