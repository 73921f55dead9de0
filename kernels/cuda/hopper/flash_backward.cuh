// The backward kernel of sm_90a and its way from sums to gradients.
#pragma once

#include "kernels/cuda/hopper/backward_consumer.cuh"
#include "kernels/cuda/hopper/backward_producer.cuh"

namespace attnlab::cuda::hopper {

__device__ inline void init_backward_barriers(BackwardBarriers& barriers, int groups) {
  mbarrier_init(&barriers.rows_full, 2 * groups);
  for (int stage = 0; stage < kStages; ++stage) {
    mbarrier_init(&barriers.columns_full[stage], 2);
    mbarrier_init(&barriers.columns_checked[stage], kCheckingWarps);
    mbarrier_init(&barriers.columns_empty[stage], groups * kWarpsPerGroup);
  }
  mbarrier_init_fence();
}

/// Adds the NaN and infinities that hide_non_finite took away to the rows that see them.
/// `keep_sign`: the factor was positive; otherwise its sign is not known any more, and the sum is
/// NaN. Rare, so straight from global memory.
template <class Consumer, int kCount>
__device__ __forceinline__ void repair_sum(const Consumer& consumer, int operand, bool keep_sign,
                                           float (&sum)[kCount]) {
  const RowRanges seen = consumer.ranges();
  const auto& walk = consumer.walk;
  const auto& view = consumer.params.columns[operand];
  const int lane_column = lane_idx() % 4 * 2;
  const int dim = static_cast<int>(view.sizes[3]);
#pragma unroll 1
  for (int head = walk.column_head; head < walk.column_head + walk.column_heads; ++head) {
#pragma unroll 1
    for (int position = walk.columns_begin; position < walk.columns_end; ++position) {
      const auto* values = view.row(walk.batch_idx, head, position) + lane_column;
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const int column = fragment_column(i);
        if (lane_column + column >= dim) continue;
        const float value = to_float(values[column]);
        const float nothing_or_nan = value - value;
        if (nothing_or_nan == 0.0f || !seen.contains(fragment_row(i), position)) continue;
        sum[i] += keep_sign ? value : nothing_or_nan;
      }
    }
  }
}

/// Writes 64 rows of a gradient to the place of the group's rows and starts their way to global
/// memory. Rows and columns beyond the tensor are dropped by the copy.
template <class Tile>
__device__ __forceinline__ void store_gradient(const TensorMap* map, std::byte* place, int group,
                                               int row, int head, int batch_idx,
                                               const float (&sum)[Tile::kDim / 2]) {
  // All warps of the group have read their rows.
  named_barrier_sync(backward_group_barrier(group), kWarpgroup);
  write_fragment<typename Tile::T, Tile::kDim>(place, sum);
  fence_proxy_async();
  named_barrier_sync(backward_group_barrier(group), kWarpgroup);
  if (thread_idx() % kWarpgroup != 0) return;
  for (int panel = 0; panel < Tile::kPanels; ++panel) {
    tma_store_4d(map, place + panel * Tile::kRowPanelBytes, panel * kPanel, row, head, batch_idx);
  }
  tma_store_commit();
}

template <class Tile, GradientOf kOf>
__device__ __forceinline__ void consume_backward(BackwardConsumer<Tile, kOf>& consumer,
                                                 const TensorMap* const (&gradients)[2]) {
  using Consumer = BackwardConsumer<Tile, kOf>;
  const auto& params = consumer.params;
  const auto& walk = consumer.walk;
  const Mask mask = params.mask.mask(params.shape, walk.batch_idx);
  const int group_row = walk.row_begin + consumer.group * kGroupRows;
  typename Consumer::Sums sums;
#pragma unroll
  for (float& x : sums.a) x = 0.0f;
#pragma unroll
  for (float& x : sums.b) x = 0.0f;
  sums.repaired = false;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int tile_row = consumer.tile_row() + 8 * half;
    const int row = walk.row_begin + tile_row;
    const bool exists = row < walk.row_end;
    const IndexRange seen = exists ? walk.range(mask, row, row + 1) : IndexRange{0, 0};
    if (lane_idx() % 4 == 0) {
      consumer.shared.ranges()[tile_row] = {static_cast<int>(seen.begin),
                                            static_cast<int>(seen.end)};
    }
    sums.row_terms[half] = terms_of_no_query();
    if (Consumer::kRowsAreQueries && exists) {
      const std::int64_t at =
          (walk.batch_idx * params.shape.heads + walk.row_head) * params.shape.seqlen_q + row;
      sums.row_terms[half] = {params.statistics.reference[at], params.statistics.delta[at]};
    }
  }
  sync_warp();
  consumer.walk_columns(sums);
  if (sums.repaired) {
    repair_sum(consumer, 0, false, sums.a);
    if constexpr (Consumer::kSecond) repair_sum(consumer, 1, true, sums.b);
  }
#pragma unroll
  for (float& x : sums.a) x *= params.scale;
  const auto store = [&](int operand, const float(&sum)[Tile::kDim / 2]) {
    store_gradient<Tile>(gradients[operand], consumer.shared.rows(operand, consumer.group),
                         consumer.group, group_row, walk.row_head, walk.batch_idx, sum);
  };
  store(0, sums.a);
  if constexpr (Consumer::kSecond) store(1, sums.b);
  // Shared memory goes when the block ends.
  tma_store_wait_read<0>();
}

/// Grid x: row tiles * heads of the rows * batch; Tile::kThreads threads;
/// BackwardShared<Tile, kOf>::kBytes of shared memory. Boxes of the maps: kPanel columns of
/// kGroupRows rows (rows, gradients) or kColumns rows (columns), swizzled over 128 bytes;
/// dimensions head_dim, seqlen, heads, batch. `grad_b_map` is not used for queries.
template <class Tile, GradientOf kOf>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    flash_backward(const __grid_constant__ TensorMap rows_a_map,
                   const __grid_constant__ TensorMap rows_b_map,
                   const __grid_constant__ TensorMap columns_a_map,
                   const __grid_constant__ TensorMap columns_b_map,
                   const __grid_constant__ TensorMap grad_a_map,
                   const __grid_constant__ TensorMap grad_b_map,
                   const __grid_constant__ BackwardParams<typename Tile::T> params) {
  const BackwardShared<Tile, kOf> shared{shared_memory()};
  BackwardBarriers& barriers = shared.barriers();
  if (thread_idx() == 0) {
    init_backward_barriers(barriers, Tile::kGroups);
    shared.walk().start(params, block_idx_x());
  }
  sync_threads();
  // The same in all lanes, and known to be by the compiler.
  const int warpgroup = shuffle(thread_idx() / kWarpgroup, 0);
  if (warpgroup == 0) {
    lower_registers<Tile::kProducerRegisters>();
    if (warp_idx() > 0) {
      check_columns(params, shared, thread_idx() - 32);
    } else if (lane_idx() == 0) {
      produce_backward({&rows_a_map, &rows_b_map}, {&columns_a_map, &columns_b_map}, shared);
    }
  } else {
    raise_registers<Tile::kConsumerRegisters>();
    BackwardConsumer<Tile, kOf> consumer{params,   shared.walk(), shared,
                                         barriers, warpgroup - 1, {}};
    consume_backward(consumer, {&grad_a_map, &grad_b_map});
  }
}

}  // namespace attnlab::cuda::hopper
