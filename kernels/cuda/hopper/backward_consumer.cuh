// A consumer warpgroup of backward: 64 rows against the column blocks of its block. The weights of
// a block are made while the tensor cores make its dP, dS while they add up dV.
#pragma once

#include "kernels/cuda/hopper/backward_tile.cuh"
#include "kernels/cuda/hopper/fragment.cuh"

namespace attnlab::cuda::hopper {

/// Named barriers: of all consumers, and of group g alone.
inline constexpr int kConsumersBarrier = 1;
__device__ inline int backward_group_barrier(int group) { return 2 + group; }

template <class Tile, GradientOf kOf>
struct BackwardConsumer {
  using T = typename Tile::T;
  using Walk = BackwardWalk<Tile, kOf>;
  static constexpr bool kRowsAreQueries = Walk::kRowsAreQueries;
  static constexpr bool kSecond = !kRowsAreQueries;  ///< there is a sum over operand b too
  static constexpr int kElements = Tile::kColumns / 2;

  const BackwardParams<T>& params;
  const Walk& walk;
  const BackwardShared<Tile, kOf>& shared;
  BackwardBarriers& barriers;
  int group;
  RingPosition at;

  /// What the loop carries. sum_b stays untouched where there is no second sum.
  struct Sums {
    float a[Tile::kDim / 2];
    float b[Tile::kDim / 2];
    QueryTerms row_terms[2];
    bool repaired;
  };

  /// Row of the tile of this thread's row 0; row 1 is 8 further on.
  __device__ __forceinline__ int tile_row() const {
    return group * kGroupRows + warp_idx() % kWarpsPerGroup * 16 + lane_idx() / 4;
  }
  __device__ __forceinline__ RowRanges ranges() const {
    const ColumnRange first = shared.ranges()[tile_row()];
    const ColumnRange second = shared.ranges()[tile_row() + 8];
    return {{first.begin, second.begin}, {first.end, second.end}};
  }

  /// Starts dots (+)= rows * columns^T of one operand; one group.
  template <bool kAccumulate>
  __device__ __forceinline__ void issue_dots(int operand, float (&dots)[kElements]) const {
    const std::uint64_t rows = descriptor(shared.rows(operand, group), 0);
    const std::uint64_t columns = descriptor(shared.columns(operand, at.stage), 0);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < Tile::kDim / 16; ++step) {
      const int panel = step / 4;
      const int within = step % 4 * 32;
      wgmma_m64k16<T, Tile::kColumns, false>(
          dots, advance(rows, panel * Tile::kRowPanelBytes + within),
          advance(columns, panel * Tile::kColumnPanelBytes + within), kAccumulate || step > 0);
    }
    wgmma_commit();
  }

  /// Starts sum += factors * columns of one operand; one group.
  __device__ __forceinline__ void issue_sum(int operand,
                                            const std::uint32_t (&factors)[kElements / 8][4],
                                            float (&sum)[Tile::kDim / 2]) const {
    const std::uint64_t columns =
        descriptor(shared.columns(operand, at.stage), Tile::kColumnPanelBytes);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < Tile::kColumns / 16; ++step) {
      wgmma_m64k16<T, Tile::kDim, true>(sum, factors[step],
                                        advance(columns, step * 16 * kPanelRowBytes), true);
    }
    wgmma_commit();
  }

  __device__ __forceinline__ QueryTerms terms(const Sums& sums, int i) const {
    if constexpr (kRowsAreQueries) return sums.row_terms[fragment_row(i)];
    return shared.terms(at.stage)[fragment_column(i) + lane_idx() % 4 * 2];
  }

  /// Scores as forward made them, then weights.
  __device__ __forceinline__ void make_weights(const Sums& sums, float (&dots)[kElements]) const {
    const float scale = params.scale * static_cast<float>(kLog2E);
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      dots[i] = exp2_approx(fmaf(dots[i], scale, -terms(sums, i).reference));
    }
  }

  /// Gives masked pairs the value 0, whatever stands there.
  __device__ __forceinline__ void mask_pairs(int column_begin, float (&values)[kElements]) const {
    const RowRanges seen = ranges();
    const int lane_column = column_begin + lane_idx() % 4 * 2;
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      if (!seen.contains(fragment_row(i), lane_column + fragment_column(i))) values[i] = 0.0f;
    }
  }

  /// Where a partial block has NaN or infinities: takes them out of the tiles before the sums,
  /// which repair_sum adds to the rows that see them. Scores and dP of both groups are made.
  __device__ __forceinline__ void hide_non_finite(Sums& sums) const {
    bool found = false;
    for (const int one : barriers.non_finite[at.stage]) found |= one != 0;
    if (!found) return;
    sums.repaired = true;
    constexpr int kThreads = Tile::kGroups * kWarpgroup;
    const int thread = thread_idx() - kWarpgroup;
    named_barrier_sync(kConsumersBarrier, kThreads);
    for (int operand = 0; operand < (kSecond ? 2 : 1); ++operand) {
      clear_non_finite<T>(shared.columns(operand, at.stage), Tile::kColumnBytes, thread, kThreads);
    }
    fence_proxy_async();
    named_barrier_sync(kConsumersBarrier, kThreads);
  }

  template <bool kPartial>
  __device__ __forceinline__ void step(int column_begin, Sums& sums) {
    float weights[kElements];
    float grads[kElements];
    std::uint32_t packed[kElements / 8][4];
    std::uint32_t packed_grads[kElements / 8][4];
    mbarrier_wait(&barriers.columns_checked[at.stage], at.parity);
    // dP - sum(dO * O) is added up by the product: later there are no registers for it.
#pragma unroll
    for (int i = 0; i < kElements; ++i) grads[i] = -terms(sums, i).delta;
    keep_accumulators(grads);
    mbarrier_wait(&barriers.columns_full[at.stage], at.parity);
    issue_dots<false>(0, weights);
    issue_dots<true>(1, grads);
    if constexpr (kPartial) {
      wgmma_wait<0>();
      keep_accumulators(grads);
      hide_non_finite(sums);
    } else {
      wgmma_wait<1>();
    }
    keep_accumulators(weights);
    make_weights(sums, weights);
    if constexpr (kPartial) mask_pairs(column_begin, weights);
    if constexpr (kSecond) {
      pack_fragments<T>(weights, packed);
      issue_sum(1, packed, sums.b);
    }
    if constexpr (!kPartial) {
      wgmma_wait<kSecond ? 1 : 0>();
      keep_accumulators(grads);
    }
#pragma unroll
    for (int i = 0; i < kElements; ++i) grads[i] *= weights[i];  // dS
    if constexpr (kPartial) mask_pairs(column_begin, grads);
    pack_fragments<T>(grads, packed_grads);
    issue_sum(0, packed_grads, sums.a);
    wgmma_wait<0>();
    keep_accumulators(sums.a);
    if constexpr (kSecond) keep_accumulators(sums.b);
    release(&barriers.columns_empty[at.stage]);
    at.advance();
  }

  __device__ __forceinline__ void walk_columns(Sums& sums) {
    if (walk.column_heads == 0) return;
    mbarrier_wait(&barriers.rows_full, 0);
    walk.for_each_block([&](int, int begin, bool partial) {
      if (partial) {
        step<true>(begin, sums);
      } else {
        step<false>(begin, sums);
      }
    });
  }
};

}  // namespace attnlab::cuda::hopper
