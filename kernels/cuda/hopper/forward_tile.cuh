// Tile sizes of the forward kernel, what its shared memory holds, its parameters.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/core/attention_args.h"
#include "kernels/cuda/hopper/shared_tile.cuh"
#include "kernels/cuda/hopper/tile_schedule.h"

namespace attnlab::cuda::hopper {

/// Sizes for head dimensions up to kDimension: `kConsumersOf` warpgroups of 64 queries each against
/// kKeys keys at a time. What limits them: registers (scores, their 16-bit copy and the sums: kKeys
/// / 2 + kKeys / 4 + kDimension / 2 a thread) and shared memory (kBytes).
template <class Element, int kDimension, int kConsumersOf, int kKeys>
struct ForwardTile {
  using T = Element;
  static constexpr int kDim = kDimension;
  static constexpr int kConsumers = kConsumersOf;
  static constexpr int kTileQ = kConsumers * kGroupRows;
  static constexpr int kTileK = kKeys;
  static constexpr int kPanels = kDim / kPanel;
  static constexpr int kThreads = (1 + kConsumers) * kWarpgroup;
  /// Together no more than what the kernel starts with: 65,536 / kThreads, a multiple of 8, for
  /// each thread.
  static constexpr int kProducerRegisters = kConsumers == 2 ? 40 : 32;
  static constexpr int kConsumerRegisters = kConsumers == 2 ? 232 : 160;

  /// The queries of one warpgroup, later its outputs.
  static constexpr int kQueryPanelBytes = kGroupRows * kPanelRowBytes;
  static constexpr int kQueryBytes = kPanels * kQueryPanelBytes;
  static constexpr int kKeyPanelBytes = kTileK * kPanelRowBytes;
  static constexpr int kKeyBytes = kPanels * kKeyPanelBytes;

  static_assert(kProducerRegisters + kConsumers * kConsumerRegisters <=
                65536 / kThreads / 8 * 8 * (1 + kConsumers));
  static_assert(kDim % kPanel == 0 && kTileK % 16 == 0);
  static_assert(kKeyPanelBytes % 1024 == 0, "panels begin where the swizzle's pattern does");
};

/// Barriers of the pipeline. K and V have stages of their own, because a consumer is done with K
/// half an iteration earlier than with V.
template <class Tile>
struct Barriers {
  Mbarrier q_full[Tile::kConsumers];
  Mbarrier q_empty[Tile::kConsumers];
  Mbarrier k_full[kStages];
  Mbarrier k_empty[kStages];
  Mbarrier v_full[kStages];
  Mbarrier v_checked[kStages];  ///< of partial blocks: no element is NaN or infinite any more
  Mbarrier v_empty[kStages];
  /// By checking warp, written before it arrives at v_checked: non-zero where an element was not.
  int v_repaired[kStages][kCheckingWarps];
};

/// The dynamic shared memory of a block; all tiles 1024-byte aligned.
template <class Tile>
struct SharedLayout {
  static constexpr int kKeysAt = Tile::kConsumers * Tile::kQueryBytes;
  static constexpr int kValuesAt = kKeysAt + kStages * Tile::kKeyBytes;
  static constexpr int kBarriersAt = kValuesAt + kStages * Tile::kKeyBytes;
  static constexpr int kBytes = kBarriersAt + static_cast<int>(sizeof(Barriers<Tile>));

  std::byte* base;

  __device__ std::byte* queries(int group) const { return base + group * Tile::kQueryBytes; }
  __device__ std::byte* keys(int stage) const { return base + kKeysAt + stage * Tile::kKeyBytes; }
  __device__ std::byte* values(int stage) const {
    return base + kValuesAt + stage * Tile::kKeyBytes;
  }
  __device__ Barriers<Tile>& barriers() const {
    return *reinterpret_cast<Barriers<Tile>*>(base + kBarriersAt);
  }
};

/// What the kernel knows besides the tensor maps.
template <class T>
struct ForwardParams {
  AttentionShape shape;
  MaskOptions mask;
  TileSchedule schedule;
  TypedView<const T> v;  ///< for the repair of outputs only
  TypedView<float> lse;
  int heads_per_kv_head = 1;
  float scale = 1.0f;

  __device__ int kv_head(int head) const { return head / heads_per_kv_head; }
  __device__ int q_end(const QueryTile& tile) const {
    const int end = tile.q_begin + schedule.tile_q;
    const int seqlen_q = static_cast<int>(shape.seqlen_q);
    return end < seqlen_q ? end : seqlen_q;
  }
  template <int kTileK>
  __device__ KeyBlocks blocks(const QueryTile& tile) const {
    return key_blocks<kTileK>(mask.mask(shape, tile.batch_idx), tile.q_begin, q_end(tile));
  }
};

/// Calls `function(QueryTile)` for the tiles of this block, in the same order in every role.
template <class T, class F>
__device__ __forceinline__ void for_each_tile(const ForwardParams<T>& params, const F& function) {
  const TileSchedule& schedule = params.schedule;
  for (int turn = 0;; ++turn) {
    const int index = schedule.index(turn, block_idx_x(), grid_dim_x());
    if (index >= schedule.num_tiles()) return;
    function(schedule.tile(index));
  }
}

}  // namespace attnlab::cuda::hopper
