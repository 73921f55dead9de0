// Forward attention, queries in lanes: the scores of a tile are stored as [key][query], so that
// every step of the softmax is vertical, K and V are read row by row as they lie, and only Q and
// the output are transposed, once per tile. Online softmax after FlashAttention-2 (Dao 2023, arXiv
// 2307.08691).
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/lanes/flash_common.h"
#include "kernels/cpu/lanes/kernels.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace {

// 128 keys x 48 queries are 24 KiB: long products at both ends, within the first two cache levels.
constexpr std::int64_t kTileKeys = 128;

/// One worker's memory. Tiles are [row][kTileLanes].
template <class Acc>
struct ForwardScratch {
  Acc* q;       ///< [head_dim], queries in lanes, scaled
  Acc* out;     ///< [head_dim_v]
  Acc* scores;  ///< [kTileKeys], then the weights
  Acc* k;       ///< [kTileKeys][padded head_dim], for 16-bit inputs
  Acc* v;       ///< [kTileKeys][padded head_dim_v], for 16-bit inputs

  ForwardScratch(Arena& arena, const AttentionShape& shape) {
    const bool widens = element_size(shape.dtype) == 2;
    q = arena.take<Acc>(shape.head_dim * kTileLanes<Acc>);
    out = arena.take<Acc>(shape.head_dim_v * kTileLanes<Acc>);
    scores = arena.take<Acc>(kTileKeys * kTileLanes<Acc>);
    k = arena.take<Acc>(widens ? kTileKeys * padded_dim(shape.head_dim) : 0);
    v = arena.take<Acc>(widens ? kTileKeys * padded_dim(shape.head_dim_v) : 0);
  }
};

/// The queries [begin, end) of one head.
struct QueryTile {
  std::int64_t batch_idx, head, kv_head;
  std::int64_t begin, end;
};

template <class T, class Score>
class ForwardTile {
  using Acc = Accumulator<T>;
  using V = Lanes<Acc>;
  static constexpr std::int64_t kWidth = kTileLanes<Acc>;

 public:
  ForwardTile(const AttentionArgs& args, const ForwardScratch<Acc>& scratch, const QueryTile& tile)
      : args_(args),
        scratch_(scratch),
        tile_(tile),
        mask_(args.mask.mask(args.shape, tile.batch_idx)),
        score_(make_score<Score>(args.score, tile.batch_idx, tile.head)) {}

  void run() {
    const AttentionShape& shape = args_.shape;
    const auto q = args_.q.as<const T>();
    load_transposed(q.row(tile_.batch_idx, tile_.head, tile_.begin), q.strides[2],
                    tile_.end - tile_.begin, shape.head_dim,
                    static_cast<Acc>(operand_scale(score_)), scratch_.q, kWidth);
    for (std::int64_t i = 0; i < shape.head_dim_v * kWidth; i += V::kSize) {
      V(0.0).store(scratch_.out + i);
    }
    const IndexRange keys = keys_seen(mask_, tile_.begin, tile_.end);
    for (std::int64_t begin = keys.begin; begin < keys.end; begin += kTileKeys) {
      add_keys(begin, lesser(begin + kTileKeys, keys.end));
    }
    write_out();
  }

 private:
  void add_keys(std::int64_t begin, std::int64_t end) {
    const AttentionShape& shape = args_.shape;
    const std::int64_t count = end - begin;
    const bool partial = !is_full(mask_, tile_.begin, tile_.end, begin, end);
    const auto k = args_.k.as<const T>();
    const auto k_rows = view_rows(k.row(tile_.batch_idx, tile_.kv_head, begin), k.strides[2], count,
                                  shape.head_dim, scratch_.k, padded_dim(shape.head_dim));
    const auto v = args_.v.as<const T>();
    const auto v_rows = view_rows(v.row(tile_.batch_idx, tile_.kv_head, begin), v.strides[2], count,
                                  shape.head_dim_v, scratch_.v, padded_dim(shape.head_dim_v));
    gemm_tile<Acc, Init::kZero, ALayout::kRows, true>(
        count, shape.head_dim,
        {k_rows.data, k_rows.stride, scratch_.q, kWidth, scratch_.scores, kWidth, nullptr,
         v_rows.data, v_rows.stride});
    if constexpr (!Score::kIsIdentity) apply_score(begin, count);
    if (partial) hide_masked(begin, count);

    V factors[kTileVectors];
    update_softmax(count, factors);

    GemmOperands<Acc> op{v_rows.data,  v_rows.stride, scratch_.scores, kWidth,
                         scratch_.out, kWidth,        factors};
    if (partial && !all_finite(v_rows, count, shape.head_dim_v)) {
      masked_product(shape.head_dim_v, count, v_rows.data, v_rows.stride, scratch_.scores,
                     scratch_.out, factors,
                     [&](std::int64_t i) { return lanes_of_key(begin + i); });
    } else {
      gemm_tile<Acc, Init::kScaleAdd, ALayout::kColumns>(shape.head_dim_v, count, op);
    }
  }

  /// The lanes of this tile whose query sees the key.
  IndexRange lanes_of_key(std::int64_t k_idx) const {
    const IndexRange queries = queries_seeing(mask_, k_idx, k_idx + 1);
    return {queries.begin - tile_.begin, queries.end - tile_.begin};
  }

  void apply_score(std::int64_t begin, std::int64_t count) {
    const V diagonal = positions<Acc>(mask_.diagonal(tile_.begin));
    for (std::int64_t i = 0; i < count; ++i) {
      for (int v = 0; v < kTileVectors; ++v) {
        Acc* p = scratch_.scores + i * kWidth + v * V::kSize;
        const V distance = abs(diagonal + V(static_cast<Acc>(v * V::kSize - begin - i)));
        (score_.score(V::load(p), distance) * V(kLog2E)).store(p);
      }
    }
  }

  void hide_masked(std::int64_t begin, std::int64_t count) {
    const V hidden(-__builtin_inf());
    for (std::int64_t i = 0; i < count; ++i) {
      const IndexRange lanes = lanes_of_key(begin + i);
      for (int v = 0; v < kTileVectors; ++v) {
        const std::int64_t first = v * V::kSize;
        Acc* p = scratch_.scores + i * kWidth + first;
        select(lane_range<Acc>(lanes.begin - first, lanes.end - first), V::load(p), hidden)
            .store(p);
      }
    }
  }

  /// Scores become weights relative to the running maximum; `factors` rescale what is summed so
  /// far.
  void update_softmax(std::int64_t count, V (&factors)[kTileVectors]) {
    for (int v = 0; v < kTileVectors; ++v) {
      Acc* column = scratch_.scores + v * V::kSize;
      factors[v] = softmax_[v].update(column_max(column, count));
      const V reference = softmax_[v].reference();
      // Chains of their own: one would have to wait for each addition.
      V sums[2] = {V(0.0), V(0.0)};
      const auto add_weight = [&](std::int64_t i, V& sum) {
        const V weight = exp2(V::load(column + i * kWidth) - reference);
        weight.store(column + i * kWidth);
        sum = sum + weight;
      };
      std::int64_t i = 0;
      for (; i + 2 <= count; i += 2) {
        add_weight(i, sums[0]);
        add_weight(i + 1, sums[1]);
      }
      if (i < count) add_weight(i, sums[0]);
      softmax_[v].add(sums[0] + sums[1]);
    }
  }

  static V column_max(const Acc* column, std::int64_t count) {
    V largest[4];
    for (V& v : largest) v = V(-__builtin_inf());
    std::int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) largest[j] = max(largest[j], V::load(column + (i + j) * kWidth));
    }
    for (; i < count; ++i) largest[0] = max(largest[0], V::load(column + i * kWidth));
    return max(max(largest[0], largest[1]), max(largest[2], largest[3]));
  }

  void write_out() {
    const AttentionShape& shape = args_.shape;
    alignas(64) Acc row_max[kWidth];
    alignas(64) Acc row_sum[kWidth];
    alignas(64) Acc normalizer[kWidth];
    for (int v = 0; v < kTileVectors; ++v) {
      softmax_[v].row_max.store(row_max + v * V::kSize);
      softmax_[v].row_sum.store(row_sum + v * V::kSize);
      softmax_[v].normalizer().store(normalizer + v * V::kSize);
    }
    const auto out = args_.out.as<T>();
    store_transposed(scratch_.out, kWidth, tile_.end - tile_.begin, shape.head_dim_v, normalizer,
                     out.row(tile_.batch_idx, tile_.head, tile_.begin), out.strides[2]);
    const auto lse = args_.lse.as<Acc>();
    for (std::int64_t q = tile_.begin; q < tile_.end; ++q) {
      const std::int64_t lane = q - tile_.begin;
      // In double and rounded once: backward subtracts it from scores of the same size.
      *lse.row(tile_.batch_idx, tile_.head, q) =
          static_cast<Acc>(OnlineSoftmax<double>{row_max[lane], row_sum[lane]}.finish());
    }
  }

  const AttentionArgs& args_;
  const ForwardScratch<Acc>& scratch_;
  const QueryTile tile_;
  const Mask mask_;
  const Score score_;
  OnlineSoftmax<V> softmax_[kTileVectors];
};

std::int64_t num_query_tiles(const AttentionShape& shape) {
  const std::int64_t width =
      shape.dtype == DType::kFloat64 ? kTileLanes<double> : kTileLanes<float>;
  return (shape.seqlen_q + width - 1) / width;
}

template <class T, class Score>
void run_tasks(const Job<AttentionArgs>& job) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = job.args->shape;
  Arena arena(job.scratch);
  const ForwardScratch<Acc> scratch(arena, shape);
  const std::int64_t tiles = num_query_tiles(shape);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    // Head by head, for K and V in the cache; later queries see more keys and come first.
    const std::int64_t head_idx = task / tiles;
    const std::int64_t begin = (tiles - 1 - task % tiles) * kTileLanes<Acc>;
    const std::int64_t head = head_idx % shape.heads;
    const QueryTile tile{head_idx / shape.heads, head, head / (shape.heads / shape.kv_heads), begin,
                         lesser(begin + kTileLanes<Acc>, shape.seqlen_q)};
    ForwardTile<T, Score>(*job.args, scratch, tile).run();
  }
}

}  // namespace

Partition flash_partition(const AttentionShape& shape) {
  Arena arena;
  if (shape.dtype == DType::kFloat64) {
    ForwardScratch<double>(arena, shape);
  } else {
    ForwardScratch<float>(arena, shape);
  }
  return {shape.batch * shape.heads * num_query_tiles(shape), arena.used_bytes(), 0};
}

void flash(const Job<AttentionArgs>& job) {
  dispatch_dtype(job.args->shape.dtype, [&](auto type) {
    dispatch_score(job.args->score, [&](auto score) {
      run_tasks<typename decltype(type)::type, typename decltype(score)::type>(job);
    });
  });
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
