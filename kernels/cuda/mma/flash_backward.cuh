// Backward attention on tensor cores, in kernels that need no atomics (after FlashAttention-2, Dao
// 2023, arXiv 2307.08691, algorithm 2, which makes all gradients in one pass): dQ of a tile of
// queries over all keys, and dK and dV of a tile of keys over all queries that see it. Both are the
// same walk with the roles of queries and keys exchanged, so there is one kernel.
//
// Rows are what a block keeps (Q and dO, or K and V), columns what streams past it. Scores are made
// again as forward made them; P and dS are rounded to 16 bits for the products, as P is in forward.
#pragma once

#include "kernels/cuda/device/backward_rows.cuh"
#include "kernels/cuda/mma/rows.cuh"

namespace attnlab::cuda::mma {

/// What a kernel writes. dK and dV together need registers for two sums; at head_dim 256 each gets
/// a walk of its own.
enum class GradientOf { kQueries, kKeysAndValues, kKeys, kValues };

template <class Element, int kHeadDim, int kNumWarps, int kTileColumns>
struct BackwardTile {
  using T = Element;
  static constexpr int kDim = kHeadDim;
  static constexpr int kWarps = kNumWarps;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRows = 16 * kWarps;
  static constexpr int kColumns = kTileColumns;
  /// Blocks of a multiprocessor that registers must do for; left to itself, ptxas (13.0) aims at
  /// three of them at head_dim 64 and spills.
  static constexpr int kMinBlocks = kDim <= 128 ? 2 : 1;

  using Scores = float[1][kColumns / 8][4];
  using Sums = float[1][kDim / 8][4];

  /// Two tiles of rows; two of columns, twice.
  static constexpr int kSharedBytes =
      static_cast<int>(sizeof(T)) * kDim * (2 * kRows + 4 * kColumns);
};

/// One block per kRows rows; grid x = row tiles * heads of the rows * batch. `aligned`: 16-byte
/// copies.
template <class Tile, class Score, GradientOf kOf>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kMinBlocks)
    flash_backward(const __grid_constant__ AttentionBackwardArgs args,
                   const RowStatistics statistics, const bool aligned) {
  using T = typename Tile::T;
  constexpr bool kRowsAreQueries = kOf == GradientOf::kQueries;
  constexpr bool kFirst = kOf != GradientOf::kValues;  // dS times the first columns
  constexpr bool kSecond = kOf == GradientOf::kValues || kOf == GradientOf::kKeysAndValues;
  constexpr int kColumns = Tile::kColumns;
  constexpr int kTileElements = kColumns * Tile::kDim;

  // The first of rows and columns make the scores, the second dO V^T.
  const TensorView& rows_a = kRowsAreQueries ? args.q : args.k;
  const TensorView& rows_b = kRowsAreQueries ? args.grad_out : args.v;
  const TensorView& columns_a = kRowsAreQueries ? args.k : args.q;
  const TensorView& columns_b = kRowsAreQueries ? args.v : args.grad_out;
  T* const row_tile_a = reinterpret_cast<T*>(shared_memory());
  T* const row_tile_b = row_tile_a + Tile::kRows * Tile::kDim;
  T* const column_tiles_a = row_tile_b + Tile::kRows * Tile::kDim;
  T* const column_tiles_b = column_tiles_a + 2 * kTileElements;

  const AttentionShape& shape = args.shape;
  const int group = static_cast<int>(shape.heads / shape.kv_heads);
  const std::int64_t seqlen_rows = kRowsAreQueries ? shape.seqlen_q : shape.seqlen_k;
  const std::int64_t row_heads = kRowsAreQueries ? shape.heads : shape.kv_heads;
  const int num_tiles = static_cast<int>((seqlen_rows + Tile::kRows - 1) / Tile::kRows);
  const std::int64_t batch_idx = block_idx_x() / num_tiles / row_heads;
  const std::int64_t row_head = block_idx_x() / num_tiles % row_heads;
  // Under a causal mask the last queries and the first keys have most to do: they start first.
  const int tile_idx = block_idx_x() % num_tiles;
  const std::int64_t row_begin =
      static_cast<std::int64_t>(kRowsAreQueries ? num_tiles - 1 - tile_idx : tile_idx) *
      Tile::kRows;
  const Mask mask = args.mask.mask(shape, batch_idx);
  const auto source_a =
      global_rows<const T>(rows_a, batch_idx, row_head, row_begin,
                           kRowsAreQueries ? shape.seqlen_q : mask.seqlen_k, Tile::kRows, aligned);
  const auto range_of = [&](std::int64_t begin, std::int64_t end) {
    return kRowsAreQueries ? mask.key_range(begin, end) : mask.query_range(begin, end);
  };
  const IndexRange columns = range_of(row_begin, row_begin + source_a.rows);
  const int warp_row = warp_idx() * 16;
  const VisibleRanges<1> visible([&](int row) {
    const std::int64_t position = row_begin + warp_row + row;
    return row < source_a.rows - warp_row ? range_of(position, position + 1) : IndexRange{0, 0};
  });

  // Keys meet the queries of all heads of their group, one head after the other.
  const int tiles_of_head = static_cast<int>((columns.size() + kColumns - 1) / kColumns);
  const int steps = kRowsAreQueries ? tiles_of_head : tiles_of_head * group;
  const auto head_of = [&](int step) {
    return kRowsAreQueries ? row_head : row_head * group + step / tiles_of_head;
  };
  const auto begin_of = [&](int step) {
    return columns.begin + static_cast<std::int64_t>(step % tiles_of_head) * kColumns;
  };
  const auto copy_columns = [&](int step) {
    const std::int64_t head = kRowsAreQueries ? row_head / group : head_of(step);
    const int stage = step % 2 * kTileElements;
    copy_tile<kColumns, Tile::kDim, Tile::kThreads>(
        global_rows<const T>(columns_a, batch_idx, head, begin_of(step), columns.end, kColumns,
                             aligned),
        column_tiles_a + stage);
    copy_tile<kColumns, Tile::kDim, Tile::kThreads>(
        global_rows<const T>(columns_b, batch_idx, head, begin_of(step), columns.end, kColumns,
                             aligned),
        column_tiles_b + stage);
    copy_async_commit();
  };
  const auto terms_of = [&](std::int64_t head, std::int64_t q_idx, bool exists) {
    const std::int64_t at = (batch_idx * shape.heads + head) * shape.seqlen_q + q_idx;
    return exists ? QueryTerms{statistics.reference[at], statistics.delta[at]}
                  : terms_of_no_query();
  };

  typename Tile::Sums sums_a;
  typename Tile::Sums sums_b;
  if constexpr (kFirst) clear(sums_a);
  if constexpr (kSecond) clear(sums_b);
  QueryTerms row_terms[2] = {terms_of_no_query(), terms_of_no_query()};
  if (steps > 0) {
    copy_tile<Tile::kRows, Tile::kDim, Tile::kThreads>(source_a, row_tile_a);
    copy_tile<Tile::kRows, Tile::kDim, Tile::kThreads>(
        global_rows<const T>(rows_b, batch_idx, row_head, row_begin, row_begin + source_a.rows,
                             Tile::kRows, aligned),
        row_tile_b);
    copy_columns(0);
    if constexpr (kRowsAreQueries) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = warp_row + sum_row(0, 2 * half);
        row_terms[half] = terms_of(row_head, row_begin + row, row < source_a.rows);
      }
    }
  }
  bool repair = false;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    const std::int64_t head = head_of(step);
    const std::int64_t column_begin = begin_of(step);
    const std::int64_t column_end = column_begin + kColumns;
    const std::int64_t row_end = row_begin + Tile::kRows;
    T* const column_tile_a = column_tiles_a + step % 2 * kTileElements;
    T* const column_tile_b = column_tiles_b + step % 2 * kTileElements;
    // Queries beyond the end are no reason to look at every pair's range (see `seen` below).
    const std::int64_t q_end = kRowsAreQueries            ? row_begin + source_a.rows
                               : column_end < columns.end ? column_end
                                                          : columns.end;
    const bool partial =
        (kRowsAreQueries
             ? mask.classify(row_begin, q_end, column_begin, column_end)
             : mask.classify(column_begin, q_end, row_begin, row_end)) != TileKind::kFull;
    copy_async_wait<0>();
    bool bad = false;
    if (partial) {
      if constexpr (kFirst) {
        bad = copied_non_finite<kColumns, Tile::kDim, Tile::kThreads>(column_tile_a);
      }
      if constexpr (kSecond) {
        bad = copied_non_finite<kColumns, Tile::kDim, Tile::kThreads>(column_tile_b) || bad;
      }
      bad = sync_threads_or(bad);  // the columns have arrived; the other stage is free
    } else {
      sync_threads();
    }
    if (step + 1 < steps) copy_columns(step + 1);

    typename Tile::Scores weights;
    typename Tile::Scores grads;
    clear(weights);
    add_rows_by_rows<Tile::kDim>(row_tile_a, warp_row, column_tile_a, weights);
    if constexpr (kFirst) {
      clear(grads);
      add_rows_by_rows<Tile::kDim>(row_tile_b, warp_row, column_tile_b, grads);
    }

    const Score score = make_score<Score>(args.score, batch_idx, head);
    const float scale = static_cast<float>(score.scale * kLog2E);
    const int offset = static_cast<int>(kRowsAreQueries ? mask.diagonal(row_begin) - column_begin
                                                        : row_begin - mask.diagonal(column_begin)) +
                       warp_row;
    const int first = static_cast<int>(column_begin);
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int column = sum_column(n, i);
        QueryTerms terms = row_terms[i / 2];
        if constexpr (!kRowsAreQueries) {
          terms = terms_of(head, column_begin + column, column_begin + column < columns.end);
        }
        const float dot = weights[0][n][i];
        float weight;
        if constexpr (Score::kIsIdentity) {
          weight = exp2_approx(fmaf(dot, scale, -terms.reference));
        } else {
          const int distance = offset + sum_row(0, i) - column;
          weight = exp2_approx(general_log2_score(score, dot, distance) - terms.reference);
        }
        // Queries beyond the end have weights of 0, but against a key of infinities NaN.
        const bool seen = partial
                              ? visible.contains(0, i / 2, first + column)
                              : kRowsAreQueries || first + column < static_cast<int>(columns.end);
        weights[0][n][i] = seen ? weight : 0.0f;
        if constexpr (kFirst) {
          float grad = weight * (grads[0][n][i] - terms.delta);
          if constexpr (!Score::kIsIdentity) {
            grad *= score.derivative(dot * static_cast<float>(score.scale));
          }
          grads[0][n][i] = seen ? grad : 0.0f;
        }
      }
    }

    if (bad) {
      repair = true;
      sync_threads();  // nobody reads the columns
      clear_non_finite<kColumns, Tile::kDim, Tile::kThreads>(column_tile_a);
      clear_non_finite<kColumns, Tile::kDim, Tile::kThreads>(column_tile_b);
      sync_threads();
    }
    if constexpr (kFirst) add_weighted_rows<Tile::kDim>(grads, column_tile_a, sums_a);
    if constexpr (kSecond) add_weighted_rows<Tile::kDim>(weights, column_tile_b, sums_b);
  }

  const auto finish = [&](const TensorView& streamed, bool keep_sign, double factor,
                          const TensorView& gradient, T* tile, typename Tile::Sums& sums) {
    if (repair) {
      const auto view = streamed.as<const T>();
      const std::int64_t heads = kRowsAreQueries ? 1 : group;
      for (std::int64_t i = 0; i < heads; ++i) {
        const std::int64_t head = kRowsAreQueries ? row_head / group : row_head * group + i;
        repair_sums<Tile::kDim>(
            visible, static_cast<int>(columns.begin), static_cast<int>(columns.end),
            static_cast<int>(view.sizes[3]), keep_sign,
            [&](int position) { return view.row(batch_idx, head, position); }, sums);
      }
    }
#pragma unroll
    for (auto& values : sums[0]) {
#pragma unroll
      for (float& x : values) x *= static_cast<float>(factor);
    }
    write_rows<Tile::kDim>(sums, warp_row, tile,
                           global_rows<T>(gradient, batch_idx, row_head, row_begin, seqlen_rows,
                                          Tile::kRows, aligned));
  };
  if constexpr (kFirst) {
    finish(columns_a, false, args.score.scale, kRowsAreQueries ? args.grad_q : args.grad_k,
           row_tile_a, sums_a);
  }
  if constexpr (kSecond) finish(columns_b, true, 1.0, args.grad_v, row_tile_b, sums_b);
}

}  // namespace attnlab::cuda::mma
