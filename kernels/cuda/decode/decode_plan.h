// How a cache is split over blocks and warps; what the kernels and the host side share.
#pragma once

#include <cstdint>

#include "kernels/core/attention_args.h"

namespace attnlab::cuda {

/// Keys that a warp takes at a time: one per lane.
inline constexpr int kDecodeTile = 32;
inline constexpr int kMaxDecodeWarps = 4;

struct DecodePlan {
  int rows = 0;            ///< query rows of a kv_head: row = q_idx * group + head in group
  int rows_per_block = 0;  ///< 1, 4 or 8
  int row_groups = 0;      ///< blocks that share a split of keys
  int chunk_keys = 0;      ///< keys of a split
  int num_splits = 0;      ///< at least 1
  int warps = 0;           ///< of a block
  int k_stride_bytes = 0;  ///< of a row in shared memory: 16 more than needed, for the banks
  int v_stride_bytes = 0;
  int q_stride = 0;  ///< accumulators; head_dim rounded up to 16 bytes of elements
  int shared_bytes = 0;
};

/// Depends on lengths, heads, head dimensions and dtype, not on the batch.
inline DecodePlan make_decode_plan(const AttentionShape& shape) {
  const auto round_up = [](std::int64_t x, std::int64_t unit) {
    return (x + unit - 1) / unit * unit;
  };
  constexpr std::int64_t kMinChunk = 256;
  constexpr std::int64_t kBlocksPerItem = 256;      // about two per multiprocessor
  constexpr std::int64_t kSharedBytes = 72 * 1024;  // two blocks per multiprocessor of sm_80
  const std::int64_t size = element_size(shape.dtype);
  const std::int64_t acc_size = accumulator_size(shape.dtype);

  DecodePlan plan;
  plan.rows = static_cast<int>(shape.heads / shape.kv_heads * shape.seqlen_q);
  // Eight rows of float64 sums would not fit the registers.
  plan.rows_per_block = plan.rows <= 1 ? 1 : plan.rows <= 4 || size == 8 ? 4 : 8;
  plan.row_groups = (plan.rows + plan.rows_per_block - 1) / plan.rows_per_block;

  const std::int64_t heads = shape.kv_heads * plan.row_groups;
  const std::int64_t most_splits = (kBlocksPerItem + heads - 1) / heads;
  std::int64_t chunk = (shape.seqlen_k + most_splits - 1) / most_splits;
  chunk = round_up(chunk < kMinChunk ? kMinChunk : chunk, kDecodeTile * kMaxDecodeWarps);
  plan.chunk_keys = static_cast<int>(chunk);
  plan.num_splits = static_cast<int>((shape.seqlen_k + chunk - 1) / chunk);
  if (plan.num_splits == 0) plan.num_splits = 1;

  plan.k_stride_bytes = static_cast<int>(round_up(shape.head_dim * size, 16) + 16);
  plan.v_stride_bytes = static_cast<int>(round_up(shape.head_dim_v * size, 16) + 16);
  plan.q_stride = static_cast<int>(round_up(shape.head_dim * size, 16) / size);
  const std::int64_t q_bytes = plan.rows_per_block * plan.q_stride * acc_size;
  const std::int64_t bytes_per_warp =
      kDecodeTile * (plan.k_stride_bytes + plan.v_stride_bytes + plan.rows_per_block * acc_size) +
      plan.rows_per_block * 2 * acc_size;
  std::int64_t warps = (kSharedBytes - q_bytes) / bytes_per_warp;
  warps = warps < 1 ? 1 : warps > kMaxDecodeWarps ? kMaxDecodeWarps : warps;
  plan.warps = static_cast<int>(warps);
  plan.shared_bytes = static_cast<int>(round_up(q_bytes, 16) + warps * bytes_per_warp);
  return plan;
}

/// What a split leaves behind for one kv_head: an unnormalised output, row_max and row_sum per row.
/// Lies in the workspace, `[batch][kv_heads][num_splits]`.
template <class Acc>
struct DecodePartial {
  Acc* out;      ///< [rows][head_dim_v]
  Acc* row_max;  ///< [rows]
  Acc* row_sum;  ///< [rows]

  ATTNLAB_HOST_DEVICE static std::int64_t elements(int rows, std::int64_t head_dim_v) {
    return rows * (head_dim_v + 2);
  }
  ATTNLAB_HOST_DEVICE DecodePartial(Acc* workspace, std::int64_t index, int rows,
                                    std::int64_t head_dim_v)
      : out(workspace + index * elements(rows, head_dim_v)),
        row_max(out + rows * head_dim_v),
        row_sum(row_max + rows) {}
};

}  // namespace attnlab::cuda
