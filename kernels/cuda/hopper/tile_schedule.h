// Which block computes which query tiles, in which order, and which key blocks a tile needs. Plain
// arithmetic, the same on host and device.
#pragma once

#include <cstdint>

#include "kernels/core/attention_args.h"
#include "kernels/core/host_device.h"
#include "kernels/cuda/device_model.h"

namespace attnlab::cuda::hopper {

/// A query tile of one head.
struct QueryTile {
  int batch_idx = 0;
  int head = 0;
  int q_begin = 0;
};

/// Tiles numbered so that neighbours use the same keys: heads in groups whose keys and values share
/// the L2 cache; within a group all heads of one query range beside each other. Under a causal mask
/// the last queries see most: groups count their queries up and down in turn, the last one down, so
/// that work changes slowly from tile to tile and ends with the smallest.
struct TileSchedule {
  int tile_q = 0;
  int q_tiles = 0;    ///< of one head
  int heads = 0;      ///< query heads
  int num_pairs = 0;  ///< (batch item, head) pairs
  int pairs_per_group = 1;

  ATTNLAB_HOST_DEVICE int num_tiles() const { return q_tiles * num_pairs; }

  ATTNLAB_HOST_DEVICE QueryTile tile(int index) const {
    const int group = index / (q_tiles * pairs_per_group);
    const int rest = index - group * q_tiles * pairs_per_group;
    const int first_pair = group * pairs_per_group;
    const int left = num_pairs - first_pair;
    const int pairs = left < pairs_per_group ? left : pairs_per_group;
    const int pair = first_pair + rest % pairs;
    const int last_group = (num_pairs - 1) / pairs_per_group;
    const bool down = (last_group - group) % 2 == 0;
    const int q_tile = down ? q_tiles - 1 - rest / pairs : rest / pairs;
    return {pair / heads, pair % heads, q_tile * tile_q};
  }

  /// The tile that block `block` of `blocks` computes in its turn `turn`; num_tiles() or more:
  /// nothing is left for it. Blocks swap order every turn, so that none gets the longest each time.
  ATTNLAB_HOST_DEVICE int index(int turn, int block, int blocks) const {
    return turn * blocks + (turn % 2 == 0 ? block : blocks - 1 - block);
  }
};

/// Schedule of a shape with heads.
inline TileSchedule make_tile_schedule(const AttentionShape& shape, int tile_q,
                                       const DeviceModel& device) {
  TileSchedule schedule;
  schedule.tile_q = tile_q;
  schedule.q_tiles = static_cast<int>((shape.seqlen_q + tile_q - 1) / tile_q);
  schedule.heads = static_cast<int>(shape.heads);
  schedule.num_pairs = static_cast<int>(shape.batch * shape.heads);
  // Part of the cache, because queries and outputs pass through it too.
  const std::int64_t kv_bytes =
      shape.seqlen_k * (shape.head_dim + shape.head_dim_v) * element_size(shape.dtype);
  const std::int64_t kv_heads = device.l2_bytes * 5 / 8 / (kv_bytes > 0 ? kv_bytes : 1);
  // So few heads that 8 blocks read the same keys at a time need no cache.
  const std::int64_t few = device.multiprocessors / 8;
  std::int64_t pairs = kv_heads * (shape.heads / shape.kv_heads);
  pairs = pairs > few ? pairs : few;
  const std::int64_t groups = (schedule.num_pairs + pairs - 1) / pairs;
  schedule.pairs_per_group = static_cast<int>((schedule.num_pairs + groups - 1) / groups);
  return schedule;
}

/// The key blocks [first, first + count) of tile_k keys that a query tile needs. All its queries
/// see all keys of [full_begin, full_end).
struct KeyBlocks {
  int first = 0;
  int count = 0;
  int full_begin = 0;
  int full_end = 0;

  template <int kTileK>
  ATTNLAB_HOST_DEVICE bool is_partial(int block) const {
    return block * kTileK < full_begin || (block + 1) * kTileK > full_end;
  }
};

template <int kTileK>
ATTNLAB_HOST_DEVICE KeyBlocks key_blocks(const Mask& mask, int q_begin, int q_end) {
  const IndexRange seen = mask.key_range(q_begin, q_end);
  if (seen.empty()) return {};
  const int first = static_cast<int>(seen.begin) / kTileK;
  const int end = static_cast<int>(seen.end + kTileK - 1) / kTileK;
  // The last query sees least to the left, the first one least to the right.
  const IndexRange last = mask.key_range(q_end - 1, q_end);
  const IndexRange front = mask.key_range(q_begin, q_begin + 1);
  if (last.empty() || front.empty()) return {first, end - first, 0, 0};
  return {first, end - first, static_cast<int>(last.begin), static_cast<int>(front.end)};
}

}  // namespace attnlab::cuda::hopper
