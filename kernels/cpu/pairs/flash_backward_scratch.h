// Memory of the bfloat16 backward kernel, how it cuts a shape, and how dQ leaves it.
#pragma once

#include "kernels/cpu/pairs/pair_flash.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// Queries whose operands are packed at a time.
inline constexpr std::int64_t kBlockQueries = 128;

inline constexpr std::int64_t kWeightsStride = 2 * kBlockQueries;

/// Keys of a tile: many share the packed queries; fewer where few tiles would be left for parts.
inline std::int64_t backward_tile_keys(const AttentionShape& shape) {
  return shape.seqlen_k > 2048 ? 256 : 128;
}

/// One worker's memory. "Columns": the operand with the depth along head_dim; "pairs": the operand
/// with the depth along the queries (keys for grad_s_pairs).
struct BackwardScratch {
  bfloat16* k;                      ///< [tile keys][dim]
  bfloat16* v;                      ///< [tile keys][dim_v]
  std::uint32_t* k_pairs;           ///< panels, on the way to k_columns
  bfloat16* k_columns;              ///< [dim, split][tile keys]
  bfloat16* k_columns_clean;        ///< the same without NaN and infinities
  float* grad_k;                    ///< [tile keys][dim, split]
  float* grad_v;                    ///< [tile keys][dim_v, split]
  std::uint32_t* q_columns;         ///< panels of kBlockQueries queries
  std::uint32_t* grad_out_columns;  ///< panels of kBlockQueries queries
  std::uint32_t* q_pairs;           ///< panels of dim, split
  std::uint32_t* grad_out_pairs;    ///< panels of dim_v, split
  float* scores;                    ///< [kRowBlock][kBlockQueries], then the weights
  float* grad_weights;              ///< [kRowBlock][kBlockQueries], then dS
  std::uint32_t* grad_s_pairs;      ///< panels of kBlockQueries queries, split
  float* lse;                       ///< [kBlockQueries]
  float* delta;                     ///< [kBlockQueries]
  std::int64_t tile_keys;

  BackwardScratch(Arena& arena, const AttentionShape& shape) {
    const std::int64_t keys = backward_tile_keys(shape);
    const std::int64_t dim = padded_depth(shape.head_dim);
    const std::int64_t dim_v = padded_depth(shape.head_dim_v);
    k = arena.take<bfloat16>(keys * dim);
    v = arena.take<bfloat16>(keys * dim_v);
    k_pairs = arena.take<std::uint32_t>(keys / 2 * dim);
    k_columns = arena.take<bfloat16>(keys * dim);
    k_columns_clean = arena.take<bfloat16>(keys * dim);
    grad_k = arena.take<float>(keys * dim);
    grad_v = arena.take<float>(keys * dim_v);
    q_columns = arena.take<std::uint32_t>(kBlockQueries * dim / 2);
    grad_out_columns = arena.take<std::uint32_t>(kBlockQueries * dim_v / 2);
    q_pairs = arena.take<std::uint32_t>(kBlockQueries / 2 * dim);
    grad_out_pairs = arena.take<std::uint32_t>(kBlockQueries / 2 * dim_v);
    scores = arena.take<float>(kRowBlock * kBlockQueries);
    grad_weights = arena.take<float>(kRowBlock * kBlockQueries);
    grad_s_pairs = arena.take<std::uint32_t>(keys / 2 * kBlockQueries);
    lse = arena.take<float>(kBlockQueries);
    delta = arena.take<float>(kBlockQueries);
    tile_keys = keys;
  }

  // P and dS in bfloat16 take the places of the scores and of dO V^T, in rows of kWeightsStride.
  bfloat16* weights() const { return reinterpret_cast<bfloat16*>(scores); }
  bfloat16* grad_s() const { return reinterpret_cast<bfloat16*>(grad_weights); }
};

/// dQ of one task: [heads / kv_heads][blocks of kBlockQueries][dim, split][kBlockQueries, split].
inline std::int64_t grad_query_floats(const AttentionShape& shape) {
  return shape.heads / shape.kv_heads * round_up(shape.seqlen_q, kBlockQueries) *
         padded_depth(shape.head_dim);
}

/// Adds the dQ of `parts` tasks in order and writes the block that begins at query `begin`.
inline void write_grad_q_block(const AttentionBackwardArgs& args, const float* grad_q,
                               std::int64_t parts, std::int64_t batch_idx, std::int64_t head,
                               std::int64_t begin) {
  using V = Lanes<float>;
  const AttentionShape& shape = args.shape;
  const std::int64_t dim = padded_depth(shape.head_dim);
  const std::int64_t part_floats = grad_query_floats(shape);
  const auto out = args.grad_q.as<bfloat16>();
  const float* block =
      grad_q +
      ((head % (shape.heads / shape.kv_heads)) * round_up(shape.seqlen_q, kBlockQueries) + begin) *
          dim;
  alignas(64) float rows[16 * 256];
  for (std::int64_t panel = 0; panel < kBlockQueries; panel += 16) {
    for (std::int64_t c = 0; c < dim; c += 16) {
      V tile[16];
      for (int r = 0; r < 16; ++r) {
        const float* at = block + (c + r) * kBlockQueries + panel;
        tile[r] = V::load(at);
        for (std::int64_t part = 1; part < parts; ++part) {
          tile[r] = tile[r] + V::load(at + part * part_floats);
        }
      }
      detail::transpose_in_registers<float>(tile);
      for (int r = 0; r < 16; ++r) tile[r].store(rows + r * dim + c);
    }
    for (std::int64_t r = 0; r < 16; ++r) {
      // The inverse of split_column.
      const std::int64_t q = begin + panel / 32 * 32 + 2 * r + panel % 32 / 16;
      if (q >= shape.seqlen_q) continue;
      store_split_row(rows + r * dim, static_cast<float>(args.score.scale), shape.head_dim,
                      out.row(batch_idx, head, q));
    }
  }
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
