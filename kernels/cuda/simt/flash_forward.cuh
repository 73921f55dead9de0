// Forward attention on ordinary cores: a block takes kRows queries of one head and walks over the
// keys that they see, one tile at a time, with an online softmax (FlashAttention-2, Dao 2023, arXiv
// 2307.08691, algorithm 1). K of the next tile is copied while this tile's weights meet V, V while
// the scores are made.
#pragma once

#include <limits>

#include "kernels/core/dispatch.h"
#include "kernels/cuda/simt/tile.cuh"

namespace attnlab::cuda::simt {

/// Shared memory: Q (scaled), K, V, weights.
template <class Tile>
constexpr int forward_shared_bytes() {
  return static_cast<int>(sizeof(typename Tile::T)) *
         ((Tile::kRows + 2 * Tile::kColumns) * Tile::kStride + Tile::kRows * Tile::kWeightStride);
}

/// Scores become weights relative to the running maximum. `factors`: by what earlier sums shrink.
template <class Tile>
__device__ __forceinline__ void update_softmax(
    typename Tile::Scores& scores, OnlineSoftmax<typename Tile::T> (&softmax)[Tile::kRowsPerThread],
    typename Tile::PerRow& factors) {
  using T = typename Tile::T;
#pragma unroll
  for (int i = 0; i < Tile::kRowsPerThread; ++i) {
    T largest = scores[i][0];
#pragma unroll
    for (int j = 1; j < Tile::kColumnsPerThread; ++j) {
      largest = scores[i][j] > largest ? scores[i][j] : largest;
    }
#pragma unroll
    for (int other = 1; other < 8; other *= 2) {
      const T theirs = shuffle_xor(largest, other);
      largest = theirs > largest ? theirs : largest;
    }
    factors[i] = softmax[i].update(largest);
    const T reference = softmax[i].reference();
    T sum = T(0);
#pragma unroll
    for (int j = 0; j < Tile::kColumnsPerThread; ++j) {
      scores[i][j] = exp2_of(scores[i][j] - reference);
      sum += scores[i][j];
    }
    // Of this thread's columns; the lanes of a row meet at the end.
    softmax[i].add(sum);
  }
}

/// One block per kRows queries; grid x = query tiles * heads * batch. `aligned`: 16-byte copies.
template <class Tile, class Score>
__global__ void __launch_bounds__(kThreads)
    flash_forward(const __grid_constant__ AttentionArgs args, const bool aligned) {
  using T = typename Tile::T;
  T* const q_tile = reinterpret_cast<T*>(shared_memory());
  T* const k_tile = q_tile + Tile::kRows * Tile::kStride;
  T* const v_tile = k_tile + Tile::kColumns * Tile::kStride;
  T* const weights = v_tile + Tile::kColumns * Tile::kStride;

  const AttentionShape& shape = args.shape;
  const int tiles = static_cast<int>((shape.seqlen_q + Tile::kRows - 1) / Tile::kRows);
  const std::int64_t head_idx = block_idx_x() / tiles;
  const std::int64_t batch_idx = head_idx / shape.heads;
  const std::int64_t head = head_idx % shape.heads;
  const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
  // Later queries see more keys under a causal mask: they start first.
  const std::int64_t q_begin =
      static_cast<std::int64_t>(tiles - 1 - block_idx_x() % tiles) * Tile::kRows;
  const std::int64_t q_left = shape.seqlen_q - q_begin;
  const int rows = q_left < Tile::kRows ? static_cast<int>(q_left) : Tile::kRows;
  const Mask mask = args.mask.mask(shape, batch_idx);
  const Score score = make_score<Score>(args.score, batch_idx, head);
  const IndexRange keys = mask.key_range(q_begin, q_begin + rows);

  const auto copy_keys = [&](const TensorView& tensor, std::int64_t k_begin, T* to) {
    const auto view = tensor.as<const T>();
    const std::int64_t left = keys.end - k_begin;
    copy_rows<Tile, Tile::kColumns>(
        {view.row(batch_idx, kv_head, k_begin), view.strides[2],
         left < Tile::kColumns ? static_cast<int>(left) : Tile::kColumns,
         static_cast<int>(view.sizes[3]), aligned},
        to);
  };

  const auto q = args.q.as<const T>();
  copy_rows<Tile, Tile::kRows>({q.row(batch_idx, head, q_begin), q.strides[2], rows,
                                static_cast<int>(shape.head_dim), aligned},
                               q_tile);
  if (!keys.empty()) copy_keys(args.k, keys.begin, k_tile);
  copy_async_wait<0>();
  scale_copied<Tile, Tile::kRows>(aligned, static_cast<T>(operand_scale(score)), q_tile);

  OnlineSoftmax<T> softmax[Tile::kRowsPerThread];
  typename Tile::Sums out;
  fill(out, T(0));
  for (std::int64_t k_begin = keys.begin; k_begin < keys.end; k_begin += Tile::kColumns) {
    copy_async_wait<0>();
    sync_threads();  // K has arrived, and nobody reads V any more
    copy_keys(args.v, k_begin, v_tile);

    typename Tile::Scores scores;
    dot_products<Tile>(q_tile, k_tile, static_cast<int>(shape.head_dim), scores);
    const bool partial = mask.classify(q_begin, q_begin + rows, k_begin,
                                       k_begin + Tile::kColumns) != TileKind::kFull;
    const auto visible_keys = [&] {
      return visible_columns<Tile>(
          k_begin, [&](int row) { return mask.key_range(q_begin + row, q_begin + row + 1); });
    };
    VisibleColumns<Tile> visible{};
    if (partial) visible = visible_keys();
    const int offset = static_cast<int>(mask.diagonal(q_begin) - k_begin);
#pragma unroll
    for (int i = 0; i < Tile::kRowsPerThread; ++i) {
#pragma unroll
      for (int j = 0; j < Tile::kColumnsPerThread; ++j) {
        T& x = scores[i][j];
        x = log2_score<Tile>(score, x, offset, i, j);
        if (partial && !visible.contains(i, first_column() + 8 * j)) {
          x = -std::numeric_limits<T>::infinity();
        }
      }
    }
    typename Tile::PerRow factors;
    update_softmax<Tile>(scores, softmax, factors);
    store_weights<Tile>(scores, weights);

    copy_async_wait<0>();
    const bool bad = partial && copied_non_finite<Tile, Tile::kColumns>(aligned, v_tile);
    const bool any_bad = sync_threads_or(bad);  // V and the weights are there; K is free
    if (k_begin + Tile::kColumns < keys.end) copy_keys(args.k, k_begin + Tile::kColumns, k_tile);
    const int width = static_cast<int>(shape.head_dim_v);
    if (any_bad) {
      // Found again: rare, and the registers are short.
      add_product<Tile, true>(weights, v_tile, width, visible_keys(), factors, out);
    } else {
      add_product<Tile, false>(weights, v_tile, width, visible, factors, out);
    }
  }

  const auto lse = args.lse.as<T>();
  typename Tile::PerRow normalizers;
#pragma unroll
  for (int i = 0; i < Tile::kRowsPerThread; ++i) {
#pragma unroll
    for (int other = 1; other < 8; other *= 2) {
      softmax[i].row_sum += shuffle_xor(softmax[i].row_sum, other);
    }
    normalizers[i] = softmax[i].normalizer();
    const int row = first_row<Tile>() + 4 * i;
    if (first_column() == 0 && row < rows) {
      // In double and rounded once: backward subtracts it from scores of the same size.
      *lse.row(batch_idx, head, q_begin + row) = static_cast<T>(OnlineSoftmax<double>{
          static_cast<double>(softmax[i].row_max), static_cast<double>(softmax[i].row_sum)}
                                                                    .finish());
    }
  }
  const auto to = args.out.as<T>();
  write_rows<Tile>(out, normalizers, to.row(batch_idx, head, q_begin), to.strides[2], rows,
                   static_cast<int>(shape.head_dim_v), aligned);
}

}  // namespace attnlab::cuda::simt
