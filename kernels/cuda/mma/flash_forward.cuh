// Forward attention on tensor cores (mma.sync): a block takes kRows queries of one head and walks
// over the keys that they see, one tile at a time, with an online softmax (FlashAttention-2, Dao
// 2023, arXiv 2307.08691, algorithm 1). Each warp has 16 * kRowTiles queries of its own; scores,
// weights and output sums stay in its registers. While a tile is worked on, the next one is copied.
//
// Tiles are taken from right to left: under a causal mask the first one holds each row's own
// neighbourhood, so the maximum hardly changes afterwards, and masked tiles come first.
#pragma once

#include "kernels/cuda/mma/rows.cuh"

namespace attnlab::cuda::mma {

template <class Element, int kHeadDim, int kNumWarps, int kRowTilesOfWarp, int kTileK>
struct ForwardTile {
  using T = Element;
  static constexpr int kDim = kHeadDim;
  static constexpr int kWarps = kNumWarps;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRowTiles = kRowTilesOfWarp;
  static constexpr int kRows = 16 * kRowTiles * kWarps;
  static constexpr int kColumns = kTileK;

  using Scores = float[kRowTiles][kColumns / 8][4];
  using Sums = float[kRowTiles][kDim / 8][4];
  using Softmax = OnlineSoftmax<float>[kRowTiles][2];

  /// Q; K and V twice.
  static constexpr int kSharedBytes = static_cast<int>(sizeof(T)) * kDim * (kRows + 4 * kColumns);
};

/// Takes in a tile of scores and turns them into weights; scales the output sums to the new
/// maximum. `scale` > 0 brings scores to units of log2.
template <class Tile>
__device__ __forceinline__ void softmax_step(typename Tile::Scores& scores, float scale,
                                             typename Tile::Softmax& softmax,
                                             typename Tile::Sums& sums) {
#pragma unroll
  for (int r = 0; r < Tile::kRowTiles; ++r) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = -kInfinity;
#pragma unroll
      for (int n = 0; n < Tile::kColumns / 8; ++n) {
        largest = fmaxf(largest, fmaxf(scores[r][n][2 * half], scores[r][n][2 * half + 1]));
      }
      largest = fmaxf(largest, shuffle_xor(largest, 1));
      largest = fmaxf(largest, shuffle_xor(largest, 2));
      OnlineSoftmax<float>& state = softmax[r][half];
      const float factor = state.update(largest * scale);
      const float reference = state.reference();
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < Tile::kColumns / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[r][n][i] = exp2_approx(fmaf(scores[r][n][i], scale, -reference));
          sum += scores[r][n][i];
        }
      }
      // Of this thread's columns; the four lanes of a row meet at the end.
      state.add(sum);
#pragma unroll
      for (int n = 0; n < Tile::kDim / 8; ++n) {
        sums[r][n][2 * half] *= factor;
        sums[r][n][2 * half + 1] *= factor;
      }
    }
  }
}

/// One block per kRows queries; grid x = query tiles * heads * batch. `aligned`: 16-byte copies.
template <class Tile, class Score>
__global__ void __launch_bounds__(Tile::kThreads)
    flash_forward(const __grid_constant__ AttentionArgs args, const bool aligned) {
  using T = typename Tile::T;
  constexpr int kColumns = Tile::kColumns;
  constexpr int kTileElements = kColumns * Tile::kDim;
  T* const q_tile = reinterpret_cast<T*>(shared_memory());
  T* const k_tiles = q_tile + Tile::kRows * Tile::kDim;
  T* const v_tiles = k_tiles + 2 * kTileElements;

  const AttentionShape& shape = args.shape;
  const int tiles = static_cast<int>((shape.seqlen_q + Tile::kRows - 1) / Tile::kRows);
  const std::int64_t head_idx = block_idx_x() / tiles;
  const std::int64_t batch_idx = head_idx / shape.heads;
  const std::int64_t head = head_idx % shape.heads;
  const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
  // Later queries see more keys under a causal mask: they start first.
  const std::int64_t q_begin =
      static_cast<std::int64_t>(tiles - 1 - block_idx_x() % tiles) * Tile::kRows;
  const auto q_rows =
      global_rows<const T>(args.q, batch_idx, head, q_begin, shape.seqlen_q, Tile::kRows, aligned);
  const int warp_row = warp_idx() * 16 * Tile::kRowTiles;
  const Mask mask = args.mask.mask(shape, batch_idx);
  const Score score = make_score<Score>(args.score, batch_idx, head);
  const float scale = Score::kIsIdentity ? static_cast<float>(score.scale * kLog2E) : 1.0f;

  const IndexRange keys = mask.key_range(q_begin, q_begin + q_rows.rows);
  const std::int64_t first_key = keys.begin / kColumns * kColumns;
  const int steps = static_cast<int>((keys.end - first_key + kColumns - 1) / kColumns);
  // Found again for every partial tile: registers are short.
  const auto visible_keys = [&] {
    return VisibleRanges<Tile::kRowTiles>([&](int row) {
      const std::int64_t q_idx = q_begin + warp_row + row;
      return q_idx < shape.seqlen_q ? mask.key_range(q_idx, q_idx + 1) : IndexRange{0, 0};
    });
  };

  const auto copy_keys = [&](int step) {
    const std::int64_t k_begin = first_key + static_cast<std::int64_t>(step) * kColumns;
    const int stage = step % 2 * kTileElements;
    copy_tile<kColumns, Tile::kDim, Tile::kThreads>(
        global_rows<const T>(args.k, batch_idx, kv_head, k_begin, keys.end, kColumns, aligned),
        k_tiles + stage);
    copy_tile<kColumns, Tile::kDim, Tile::kThreads>(
        global_rows<const T>(args.v, batch_idx, kv_head, k_begin, keys.end, kColumns, aligned),
        v_tiles + stage);
    copy_async_commit();
  };

  typename Tile::Softmax softmax;
  typename Tile::Sums out;
  clear(out);
  bool repair = false;
  if (steps > 0) {
    copy_tile<Tile::kRows, Tile::kDim, Tile::kThreads>(q_rows, q_tile);
    copy_keys(steps - 1);
  }
#pragma unroll 1
  for (int step = steps - 1; step >= 0; --step) {
    const std::int64_t k_begin = first_key + static_cast<std::int64_t>(step) * kColumns;
    T* const k_tile = k_tiles + step % 2 * kTileElements;
    T* const v_tile = v_tiles + step % 2 * kTileElements;
    const bool partial = mask.classify(q_begin, q_begin + q_rows.rows, k_begin,
                                       k_begin + kColumns) != TileKind::kFull;
    copy_async_wait<0>();
    if (partial) {
      const bool bad = copied_non_finite<kColumns, Tile::kDim, Tile::kThreads>(v_tile);
      if (bad) clear_non_finite<kColumns, Tile::kDim, Tile::kThreads>(v_tile);
      repair = sync_threads_or(bad) || repair;  // the tile has arrived; the other one is free
    } else {
      sync_threads();
    }
    if (step > 0) copy_keys(step - 1);

    typename Tile::Scores scores;
    clear(scores);
    add_rows_by_rows<Tile::kDim>(q_tile, warp_row, k_tile, scores);
    if constexpr (!Score::kIsIdentity) {
      const int offset = static_cast<int>(mask.diagonal(q_begin) - k_begin) + warp_row;
#pragma unroll
      for (int r = 0; r < Tile::kRowTiles; ++r) {
#pragma unroll
        for (int n = 0; n < kColumns / 8; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            scores[r][n][i] = general_log2_score(score, scores[r][n][i],
                                                 offset + sum_row(r, i) - sum_column(n, i));
          }
        }
      }
    }
    if (partial) {
      const VisibleRanges<Tile::kRowTiles> visible = visible_keys();
      const int first = static_cast<int>(k_begin);
#pragma unroll
      for (int r = 0; r < Tile::kRowTiles; ++r) {
#pragma unroll
        for (int n = 0; n < kColumns / 8; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            if (!visible.contains(r, i / 2, first + sum_column(n, i))) {
              scores[r][n][i] = -kInfinity;
            }
          }
        }
      }
    }
    softmax_step<Tile>(scores, scale, softmax, out);
    add_weighted_rows<Tile::kDim>(scores, v_tile, out);
  }
  if (repair) {
    const auto v = args.v.as<const T>();
    repair_sums<Tile::kDim>(
        visible_keys(), static_cast<int>(keys.begin), static_cast<int>(keys.end),
        static_cast<int>(shape.head_dim_v), true,
        [&](int key) { return v.row(batch_idx, kv_head, key); }, out);
  }

  const auto lse = args.lse.as<float>();
#pragma unroll
  for (int r = 0; r < Tile::kRowTiles; ++r) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      OnlineSoftmax<float>& state = softmax[r][half];
      state.row_sum += shuffle_xor(state.row_sum, 1);
      state.row_sum += shuffle_xor(state.row_sum, 2);
      const int row = warp_row + sum_row(r, 2 * half);
      if (lane_idx() % 4 == 0 && row < q_rows.rows) {
        // In double and rounded once: backward subtracts it from scores of the same size.
        *lse.row(batch_idx, head, q_begin + row) =
            static_cast<float>(OnlineSoftmax<double>{state.row_max, state.row_sum}.finish());
      }
      const float factor = state.normalizer();
#pragma unroll
      for (int n = 0; n < Tile::kDim / 8; ++n) {
        out[r][n][2 * half] *= factor;
        out[r][n][2 * half + 1] *= factor;
      }
    }
  }
  write_rows<Tile::kDim>(
      out, warp_row, q_tile,
      global_rows<T>(args.out, batch_idx, head, q_begin, shape.seqlen_q, Tile::kRows, aligned));
}

}  // namespace attnlab::cuda::mma
