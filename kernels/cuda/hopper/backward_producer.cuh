// The producer warpgroup of backward: one thread asks the copy engine for tiles; three warps fetch
// the terms of queries and look for values that masked pairs must not meet.
#pragma once

#include "kernels/cuda/hopper/backward_tile.cuh"

namespace attnlab::cuda::hopper {

/// Run by one thread. Operand a and b of rows and columns: the maps of their tiles.
template <class Tile, GradientOf kOf>
__device__ void produce_backward(const TensorMap* const (&rows)[2],
                                 const TensorMap* const (&columns)[2],
                                 const BackwardShared<Tile, kOf>& shared) {
  const auto& walk = shared.walk();
  BackwardBarriers& barriers = shared.barriers();
  if (walk.column_heads == 0) return;
  for (int operand = 0; operand < 2; ++operand) {
    for (int group = 0; group < Tile::kGroups; ++group) {
      load_panels<Tile::kPanels>(shared.rows(operand, group), Tile::kRowPanelBytes, rows[operand],
                                 &barriers.rows_full, walk.row_begin + group * kGroupRows,
                                 walk.row_head, walk.batch_idx);
    }
  }
  RingPosition at;
  walk.for_each_block([&](int head, int begin, bool) {
    mbarrier_wait(&barriers.columns_empty[at.stage], at.parity ^ 1);
    for (int operand = 0; operand < 2; ++operand) {
      load_panels<Tile::kPanels>(shared.columns(operand, at.stage), Tile::kColumnPanelBytes,
                                 columns[operand], &barriers.columns_full[at.stage], begin, head,
                                 walk.batch_idx);
    }
    at.advance();
  });
}

/// Run by the checking warps, `thread` counted among them. In partial blocks weights are masked to
/// 0, but 0 * NaN is not 0: consumers are told where there is one (see hide_non_finite).
template <class Tile, GradientOf kOf>
__device__ void check_columns(const BackwardParams<typename Tile::T>& params,
                              const BackwardShared<Tile, kOf>& shared, int thread) {
  const auto& walk = shared.walk();
  using T = typename Tile::T;
  constexpr int kThreads = kCheckingWarps * 32;
  BackwardBarriers& barriers = shared.barriers();
  RingPosition at;
  walk.for_each_block([&](int head, int begin, bool partial) {
    mbarrier_wait(&barriers.columns_empty[at.stage], at.parity ^ 1);
    if constexpr (kOf == GradientOf::kKeysAndValues) {
      const int queries = static_cast<int>(params.shape.seqlen_q) - begin;
      const std::int64_t first =
          (walk.batch_idx * params.shape.heads + head) * params.shape.seqlen_q + begin;
      const float* const reference = params.statistics.reference + first;
      const std::int64_t to_delta = params.statistics.delta - params.statistics.reference;
      QueryTerms* const terms = shared.terms(at.stage);
#pragma unroll 1
      for (int column = thread; column < Tile::kColumns; column += kThreads) {
        terms[column] = column < queries
                            ? QueryTerms{reference[column], reference[column + to_delta]}
                            : terms_of_no_query();
      }
    }
    bool found = false;
    if (partial) {
      mbarrier_wait(&barriers.columns_full[at.stage], at.parity);
      // Values are columns of no sum where rows are queries.
      constexpr int kOperands = kOf == GradientOf::kQueries ? 1 : 2;
      for (int operand = 0; operand < kOperands; ++operand) {
        found |= find_non_finite<T>(shared.columns(operand, at.stage), Tile::kColumnBytes, thread,
                                    kThreads);
      }
    }
    found = any_in_warp(found);
    // What the lanes wrote comes before the arrival of the first.
    sync_warp();
    if (lane_idx() == 0) {
      barriers.non_finite[at.stage][thread / 32] = found ? 1 : 0;
      mbarrier_arrive(&barriers.columns_checked[at.stage]);
    }
    at.advance();
  });
}

}  // namespace attnlab::cuda::hopper
