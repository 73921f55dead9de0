// Backward attention on ordinary cores, two kernels so that no sum needs atomics (after
// FlashAttention-2, Dao 2023, arXiv 2307.08691, algorithm 2, which makes both in one pass): dK and
// dV of a tile of keys over all queries that see it, and dQ of a tile of queries over all keys.
// Both make the scores again as forward did, bit for bit: their rounding cancels in exp(score -
// lse).
#pragma once

#include <limits>

#include "kernels/core/dispatch.h"
#include "kernels/cuda/simt/tile.cuh"

namespace attnlab::cuda::simt {

/// Per query row, `[batch, heads, seqlen_q]`, what both kernels need.
template <class T>
struct RowStatistics {
  T* reference;  ///< lse in units of log2; +inf for a row without keys, whose weights are then 0
  T* delta;      ///< sum(dO * O)
};

/// One warp per query row; grid x = rows / 4, rounded up.
template <class T>
__global__ void __launch_bounds__(kThreads)
    flash_backward_rows(const __grid_constant__ AttentionBackwardArgs args,
                        const RowStatistics<T> statistics) {
  const AttentionShape& shape = args.shape;
  const std::int64_t row = static_cast<std::int64_t>(block_idx_x()) * (kThreads / 32) + warp_idx();
  if (row >= shape.batch * shape.heads * shape.seqlen_q) return;
  const std::int64_t q_idx = row % shape.seqlen_q;
  const std::int64_t head = row / shape.seqlen_q % shape.heads;
  const std::int64_t batch_idx = row / shape.seqlen_q / shape.heads;
  const T* const out = args.out.as<const T>().row(batch_idx, head, q_idx);
  const T* const grad_out = args.grad_out.as<const T>().row(batch_idx, head, q_idx);
  T sum = T(0);
  for (std::int64_t c = lane_idx(); c < shape.head_dim_v; c += 32) sum += out[c] * grad_out[c];
#pragma unroll
  for (int other = 1; other < 32; other *= 2) sum += shuffle_xor(sum, other);
  if (lane_idx() != 0) return;
  const T lse = *args.lse.as<const T>().row(batch_idx, head, q_idx);
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  statistics.reference[row] = lse == -kInfinity ? kInfinity : static_cast<T>(lse * kLog2E);
  statistics.delta[row] = sum;
}

/// A dot product becomes the weight exp(score - lse); `grad`, its part of dO V^T, becomes the
/// gradient of the dot product.
template <class Tile, class Score>
__device__ __forceinline__ void differentiate(const Score& score, int offset, int i, int j,
                                              bool visible, typename Tile::T reference,
                                              typename Tile::T delta, typename Tile::T& dot,
                                              typename Tile::T& grad) {
  using T = typename Tile::T;
  const T weight = exp2_of(log2_score<Tile>(score, dot, offset, i, j) - reference);
  T product = weight * (grad - delta);
  if constexpr (!Score::kIsIdentity) product *= score.derivative(dot);
  dot = visible ? weight : T(0);
  grad = visible ? product : T(0);
}

/// sums += values * x, with the pairs left out that are masked where x holds a NaN or infinity.
/// `values` pass through `weights`, which nobody may be reading any more.
template <class Tile, class F>
__device__ __forceinline__ void add_gradient(const typename Tile::Scores& values,
                                             typename Tile::T* weights, const typename Tile::T* x,
                                             std::int64_t width, bool bad, const F& visible,
                                             typename Tile::Sums& sums) {
  typename Tile::PerRow ones;
  fill(ones, typename Tile::T(1));
  store_weights<Tile>(values, weights);
  sync_warp();
  if (bad) {
    add_product<Tile, true>(weights, x, static_cast<int>(width), visible(), ones, sums);
  } else {
    add_product<Tile, false>(weights, x, static_cast<int>(width), {}, ones, sums);
  }
}

/// Shared memory of both kernels: two tiles of rows that stay, two of columns, weights.
template <class Tile>
constexpr int backward_shared_bytes() {
  return static_cast<int>(sizeof(typename Tile::T)) *
         (2 * (Tile::kRows + Tile::kColumns) * Tile::kStride + Tile::kRows * Tile::kWeightStride);
}

template <class Tile>
struct BackwardTiles {
  typename Tile::T *row_a, *row_b, *column_a, *column_b, *weights;

  __device__ __forceinline__ BackwardTiles()
      : row_a(reinterpret_cast<typename Tile::T*>(shared_memory())),
        row_b(row_a + Tile::kRows * Tile::kStride),
        column_a(row_b + Tile::kRows * Tile::kStride),
        column_b(column_a + Tile::kColumns * Tile::kStride),
        weights(column_b + Tile::kColumns * Tile::kStride) {}
};

/// Rows [begin, end) of a head, at most kMost of them.
template <int kMost, class T>
__device__ __forceinline__ RowSource<T> row_source(const TensorView& tensor, std::int64_t batch_idx,
                                                   std::int64_t head, std::int64_t begin,
                                                   std::int64_t end, bool aligned) {
  const auto view = tensor.as<const T>();
  const std::int64_t left = end - begin;
  return {view.row(batch_idx, head, begin), view.strides[2],
          left < kMost ? static_cast<int>(left) : kMost, static_cast<int>(view.sizes[3]), aligned};
}

/// dK and dV: rows of the tile are keys, columns the queries of all heads of the group, one after
/// the other. One block per kRows keys; grid x = key tiles * kv_heads * batch.
template <class Tile, class Score>
__global__ void __launch_bounds__(kThreads)
    flash_backward_keys(const __grid_constant__ AttentionBackwardArgs args,
                        const RowStatistics<typename Tile::T> statistics, const bool aligned) {
  using T = typename Tile::T;
  const BackwardTiles<Tile> tiles;
  T* const k_tile = tiles.row_a;
  T* const v_tile = tiles.row_b;
  T* const q_tile = tiles.column_a;
  T* const grad_out_tile = tiles.column_b;

  const AttentionShape& shape = args.shape;
  const int num_tiles = static_cast<int>((shape.seqlen_k + Tile::kRows - 1) / Tile::kRows);
  const std::int64_t batch_idx = block_idx_x() / num_tiles / shape.kv_heads;
  const std::int64_t kv_head = block_idx_x() / num_tiles % shape.kv_heads;
  const std::int64_t k_begin = static_cast<std::int64_t>(block_idx_x() % num_tiles) * Tile::kRows;
  const auto k_source =
      row_source<Tile::kRows, T>(args.k, batch_idx, kv_head, k_begin, shape.seqlen_k, aligned);
  const Mask mask = args.mask.mask(shape, batch_idx);
  const IndexRange queries = mask.query_range(k_begin, k_begin + k_source.rows);
  const int group = static_cast<int>(shape.heads / shape.kv_heads);
  const int tiles_of_head =
      static_cast<int>((queries.size() + Tile::kColumns - 1) / Tile::kColumns);
  const int steps = group * tiles_of_head;

  const auto head_of = [&](int step) { return kv_head * group + step / tiles_of_head; };
  const auto begin_of = [&](int step) {
    return queries.begin + static_cast<std::int64_t>(step % tiles_of_head) * Tile::kColumns;
  };
  const auto copy_queries = [&](const TensorView& tensor, int step, T* to) {
    copy_rows<Tile, Tile::kColumns>(
        row_source<Tile::kColumns, T>(tensor, batch_idx, head_of(step), begin_of(step), queries.end,
                                      aligned),
        to);
  };

  typename Tile::Sums grad_k;
  typename Tile::Sums grad_v;
  fill(grad_k, T(0));
  fill(grad_v, T(0));
  if (steps > 0) {
    copy_rows<Tile, Tile::kRows>(k_source, k_tile);
    copy_rows<Tile, Tile::kRows>(
        row_source<Tile::kRows, T>(args.v, batch_idx, kv_head, k_begin, shape.seqlen_k, aligned),
        v_tile);
    copy_queries(args.q, 0, q_tile);
    copy_queries(args.grad_out, 0, grad_out_tile);
  }
  for (int step = 0; step < steps; ++step) {
    const Score score = make_score<Score>(args.score, batch_idx, head_of(step));
    const std::int64_t q_begin = begin_of(step);
    const std::int64_t q_left = queries.end - q_begin;
    const std::int64_t q_end = q_left < Tile::kColumns ? queries.end : q_begin + Tile::kColumns;
    // Queries beyond the end are masked too: their scores of 0 would be NaN against a key of
    // infinities.
    const bool partial =
        q_left < Tile::kColumns ||
        mask.classify(q_begin, q_end, k_begin, k_begin + Tile::kRows) != TileKind::kFull;
    const auto visible_queries = [&] {
      return visible_columns<Tile>(
          q_begin, [&](int row) { return mask.query_range(k_begin + row, k_begin + row + 1); });
    };

    copy_async_wait<1>();
    scale_copied<Tile, Tile::kColumns>(aligned, static_cast<T>(operand_scale(score)), q_tile);
    bool bad = partial && copied_non_finite<Tile, Tile::kColumns>(aligned, q_tile);
    sync_threads();  // Q has arrived
    typename Tile::Scores dots;
    dot_products<Tile>(k_tile, q_tile, static_cast<int>(shape.head_dim), dots);

    copy_async_wait<0>();
    bad = bad || (partial && copied_non_finite<Tile, Tile::kColumns>(aligned, grad_out_tile));
    bad = sync_threads_or(bad);  // dO has arrived
    typename Tile::Scores grads;
    dot_products<Tile>(v_tile, grad_out_tile, static_cast<int>(shape.head_dim_v), grads);

    VisibleColumns<Tile> visible{};
    if (partial) visible = visible_queries();
    const int offset = static_cast<int>(k_begin - mask.diagonal(q_begin));
    const std::int64_t row_begin = (batch_idx * shape.heads + head_of(step)) * shape.seqlen_q;
#pragma unroll
    for (int j = 0; j < Tile::kColumnsPerThread; ++j) {
      const int column = first_column() + 8 * j;
      const bool exists = q_begin + column < q_end;
      const std::int64_t at = row_begin + q_begin + column;
      const T reference = exists ? statistics.reference[at] : std::numeric_limits<T>::infinity();
      const T delta = exists ? statistics.delta[at] : T(0);
#pragma unroll
      for (int i = 0; i < Tile::kRowsPerThread; ++i) {
        differentiate<Tile>(score, offset, i, j, !partial || visible.contains(i, column), reference,
                            delta, dots[i][j], grads[i][j]);
      }
    }

    add_gradient<Tile>(grads, tiles.weights, q_tile, shape.head_dim, bad, visible_queries, grad_k);
    sync_threads();  // Q is free
    if (step + 1 < steps) copy_queries(args.q, step + 1, q_tile);
    add_gradient<Tile>(dots, tiles.weights, grad_out_tile, shape.head_dim_v, bad, visible_queries,
                       grad_v);
    sync_threads();  // dO is free
    if (step + 1 < steps) copy_queries(args.grad_out, step + 1, grad_out_tile);
  }

  const auto write = [&](const TensorView& tensor, const typename Tile::Sums& sums, double factor) {
    typename Tile::PerRow factors;
    fill(factors, static_cast<T>(factor));
    const auto view = tensor.as<T>();
    write_rows<Tile>(sums, factors, view.row(batch_idx, kv_head, k_begin), view.strides[2],
                     k_source.rows, static_cast<int>(view.sizes[3]), aligned);
  };
  // The queries in the tile carry the scale already, in units of log2 where it was folded in.
  write(args.grad_k, grad_k, Score::kIsIdentity ? kLn2 : 1.0);
  write(args.grad_v, grad_v, 1.0);
}

/// dQ: rows of the tile are queries, columns keys. One block per kRows queries; grid x = query
/// tiles
/// * heads * batch.
template <class Tile, class Score>
__global__ void __launch_bounds__(kThreads)
    flash_backward_queries(const __grid_constant__ AttentionBackwardArgs args,
                           const RowStatistics<typename Tile::T> statistics, const bool aligned) {
  using T = typename Tile::T;
  const BackwardTiles<Tile> tiles;
  T* const q_tile = tiles.row_a;
  T* const grad_out_tile = tiles.row_b;
  T* const k_tile = tiles.column_a;
  T* const v_tile = tiles.column_b;

  const AttentionShape& shape = args.shape;
  const int num_tiles = static_cast<int>((shape.seqlen_q + Tile::kRows - 1) / Tile::kRows);
  const std::int64_t batch_idx = block_idx_x() / num_tiles / shape.heads;
  const std::int64_t head = block_idx_x() / num_tiles % shape.heads;
  const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
  // Later queries see more keys under a causal mask: they start first.
  const std::int64_t q_begin =
      static_cast<std::int64_t>(num_tiles - 1 - block_idx_x() % num_tiles) * Tile::kRows;
  const auto q_source =
      row_source<Tile::kRows, T>(args.q, batch_idx, head, q_begin, shape.seqlen_q, aligned);
  const int rows = q_source.rows;
  const Mask mask = args.mask.mask(shape, batch_idx);
  const Score score = make_score<Score>(args.score, batch_idx, head);
  const IndexRange keys = mask.key_range(q_begin, q_begin + rows);
  const auto copy_keys = [&](const TensorView& tensor, std::int64_t k_begin, T* to) {
    copy_rows<Tile, Tile::kColumns>(
        row_source<Tile::kColumns, T>(tensor, batch_idx, kv_head, k_begin, keys.end, aligned), to);
  };

  typename Tile::Sums grad_q;
  fill(grad_q, T(0));
  typename Tile::PerRow reference;
  typename Tile::PerRow delta;
  fill(reference, std::numeric_limits<T>::infinity());
  fill(delta, T(0));
  if (!keys.empty()) {
    copy_rows<Tile, Tile::kRows>(q_source, q_tile);
    copy_rows<Tile, Tile::kRows>(row_source<Tile::kRows, T>(args.grad_out, batch_idx, head, q_begin,
                                                            shape.seqlen_q, aligned),
                                 grad_out_tile);
    copy_keys(args.k, keys.begin, k_tile);
    copy_keys(args.v, keys.begin, v_tile);
#pragma unroll
    for (int i = 0; i < Tile::kRowsPerThread; ++i) {
      const int row = first_row<Tile>() + 4 * i;
      if (row >= rows) continue;
      const std::int64_t at = (batch_idx * shape.heads + head) * shape.seqlen_q + q_begin + row;
      reference[i] = statistics.reference[at];
      delta[i] = statistics.delta[at];
    }
    copy_async_wait<0>();
    scale_copied<Tile, Tile::kRows>(aligned, static_cast<T>(operand_scale(score)), q_tile);
  }
  for (std::int64_t k_begin = keys.begin; k_begin < keys.end; k_begin += Tile::kColumns) {
    const bool partial = mask.classify(q_begin, q_begin + rows, k_begin,
                                       k_begin + Tile::kColumns) != TileKind::kFull;
    const auto visible_keys = [&] {
      return visible_columns<Tile>(
          k_begin, [&](int row) { return mask.key_range(q_begin + row, q_begin + row + 1); });
    };
    copy_async_wait<0>();
    const bool bad = sync_threads_or(
        partial && copied_non_finite<Tile, Tile::kColumns>(aligned, k_tile));  // K, V are there
    typename Tile::Scores dots;
    typename Tile::Scores grads;
    dot_products<Tile>(q_tile, k_tile, static_cast<int>(shape.head_dim), dots);
    dot_products<Tile>(grad_out_tile, v_tile, static_cast<int>(shape.head_dim_v), grads);
    sync_threads();  // V is free
    const bool more = k_begin + Tile::kColumns < keys.end;
    if (more) copy_keys(args.v, k_begin + Tile::kColumns, v_tile);

    VisibleColumns<Tile> visible{};
    if (partial) visible = visible_keys();
    const int offset = static_cast<int>(mask.diagonal(q_begin) - k_begin);
#pragma unroll
    for (int i = 0; i < Tile::kRowsPerThread; ++i) {
#pragma unroll
      for (int j = 0; j < Tile::kColumnsPerThread; ++j) {
        differentiate<Tile>(score, offset, i, j,
                            !partial || visible.contains(i, first_column() + 8 * j), reference[i],
                            delta[i], dots[i][j], grads[i][j]);
      }
    }
    add_gradient<Tile>(grads, tiles.weights, k_tile, shape.head_dim, bad, visible_keys, grad_q);
    sync_threads();  // K is free
    if (more) copy_keys(args.k, k_begin + Tile::kColumns, k_tile);
  }

  typename Tile::PerRow factors;
  fill(factors, static_cast<T>(args.score.scale));
  const auto to = args.grad_q.as<T>();
  write_rows<Tile>(grad_q, factors, to.row(batch_idx, head, q_begin), to.strides[2], rows,
                   static_cast<int>(shape.head_dim), aligned);
}

}  // namespace attnlab::cuda::simt
