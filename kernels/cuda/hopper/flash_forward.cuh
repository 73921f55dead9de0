// The forward kernel: one block per multiprocessor, which computes query tiles until none is left;
// a producer warpgroup and consumer warpgroups with registers moved from one to the others.
#pragma once

#include "kernels/cuda/hopper/epilogue.cuh"
#include "kernels/cuda/hopper/producer.cuh"

namespace attnlab::cuda::hopper {

template <class Tile>
__device__ void init_barriers(Barriers<Tile>& barriers) {
  constexpr int kConsumerWarps = Tile::kConsumers * kWarpsPerGroup;
  for (int group = 0; group < Tile::kConsumers; ++group) {
    mbarrier_init(&barriers.q_full[group], 1);
    mbarrier_init(&barriers.q_empty[group], 1);
  }
  for (int stage = 0; stage < kStages; ++stage) {
    mbarrier_init(&barriers.k_full[stage], 1);
    mbarrier_init(&barriers.k_empty[stage], kConsumerWarps);
    mbarrier_init(&barriers.v_full[stage], 1);
    mbarrier_init(&barriers.v_checked[stage], kCheckingWarps);
    mbarrier_init(&barriers.v_empty[stage], kConsumerWarps + kCheckingWarps);
  }
  mbarrier_init_fence();
}

/// Grid: any number of blocks; Tile::kThreads threads; SharedLayout<Tile>::kBytes of shared memory.
/// Boxes of the maps: kPanel columns of kGroupRows rows (queries, outputs) or kTileK rows, swizzled
/// over 128 bytes; dimensions head_dim, seqlen, heads, batch.
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    flash_forward(const __grid_constant__ TensorMap q_map, const __grid_constant__ TensorMap k_map,
                  const __grid_constant__ TensorMap v_map,
                  const __grid_constant__ TensorMap out_map,
                  const __grid_constant__ ForwardParams<typename Tile::T> params) {
  const SharedLayout<Tile> shared{shared_memory()};
  Barriers<Tile>& barriers = shared.barriers();
  if (thread_idx() == 0) {
    init_barriers(barriers);
    for (const TensorMap* map : {&q_map, &k_map, &v_map, &out_map}) tma_prefetch_map(map);
  }
  sync_threads();
  // The same in all lanes, and known to be by the compiler.
  const int warpgroup = shuffle(thread_idx() / kWarpgroup, 0);
  if (warpgroup == 0) {
    lower_registers<Tile::kProducerRegisters>();
    if (warp_idx() > 0) {
      check_values<Tile>(params, shared, thread_idx() - 32);
    } else if (lane_idx() == 0) {
      produce<Tile>(&q_map, &k_map, &v_map, params, shared);
    }
  } else {
    raise_registers<Tile::kConsumerRegisters>();
    Consumer<Tile> consumer{params, shared, barriers, &out_map, warpgroup - 1, {}, {}};
    // Group 0 has the first turn.
    if (consumer.group == Tile::kConsumers - 1) consumer.pass_turn();
    for_each_tile(params, [&](const QueryTile& tile) { consume_tile(consumer, tile); });
    // The turn passed last is taken, so that no barrier is left half full.
    if (consumer.group == 0) consumer.wait_turn();
  }
}

}  // namespace attnlab::cuda::hopper
