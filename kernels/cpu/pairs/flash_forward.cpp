// Forward attention for bfloat16, keys in lanes: scores [query][key] in float32 from one product,
// weights rounded to bfloat16 as they lie, output [query][head_dim_v] from a second product (Dao
// 2023, arXiv 2307.08691). K and V are brought into the layout of the products once per task, whose
// many queries share it. A block of kBlockKeys keys x kRowBlock queries of scores is 32 KiB or
// less. Time: two products, about 10 vector instructions for 16 weights.
//
// The reference that is subtracted before exp2 need not be the maximum: it follows the maximum only
// once that is kSlack above, which saves most of the rescaling (as FlashAttention-4 does on GPUs).
// Weights are then at most 2^kSlack.
#include "kernels/cpu/pairs/kernels.h"
#include "kernels/cpu/pairs/pair_flash.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace {

using V = Lanes<float>;

constexpr float kSlack = 8.0f;
// Scores of a row block: 16 KiB or less. Larger and smaller blocks were slower.
constexpr std::int64_t kBlockKeys = 128;

// Row blocks of a task.
constexpr int kTaskBlocks = 16;

/// Queries of a task: many share the packed keys, unless too few tasks would be left for the cores.
/// No result depends on it.
std::int64_t task_queries(const AttentionShape& shape) {
  std::int64_t queries = kTaskBlocks * kRowBlock;
  const auto tasks = [&] {
    return shape.batch * shape.heads * ((shape.seqlen_q + queries - 1) / queries);
  };
  while (queries > 2 * kRowBlock && tasks() < 16) queries /= 2;
  return queries;
}

/// Keys that are packed at a time: they stay in the second cache level.
std::int64_t chunk_keys(const AttentionShape& shape) {
  return lesser(1024, round_up(shape.seqlen_k, kBlockKeys));
}

/// One worker's memory.
struct ForwardScratch {
  bfloat16* q;             ///< [task queries][padded head_dim]
  std::uint32_t* k_pairs;  ///< panels of keys
  std::uint32_t* v_pairs;  ///< panels of columns, a chunk of keys deep
  std::uint32_t* v_clean;  ///< the same without NaN and infinities
  float* scores;           ///< [kRowBlock][kBlockKeys], then the weights
  float* out;              ///< [task queries][padded head_dim_v]
  float* reference;        ///< [task queries]
  float* row_sums;         ///< [task queries][16], the sum of a row is spread over lanes

  ForwardScratch(Arena& arena, const AttentionShape& shape) {
    const std::int64_t queries = task_queries(shape);
    const std::int64_t chunk = chunk_keys(shape);
    const std::int64_t columns = padded_depth(shape.head_dim_v);
    q = arena.take<bfloat16>(queries * padded_depth(shape.head_dim));
    k_pairs = arena.take<std::uint32_t>(chunk * padded_depth(shape.head_dim) / 2);
    v_pairs = arena.take<std::uint32_t>(columns * chunk / 2);
    v_clean = arena.take<std::uint32_t>(columns * chunk / 2);
    scores = arena.take<float>(kRowBlock * kBlockKeys);
    out = arena.take<float>(queries * columns);
    reference = arena.take<float>(queries);
    row_sums = arena.take<float>(queries * V::kSize);
  }
};

/// The queries [begin, end) of one head.
struct QueryTile {
  std::int64_t batch_idx, head, kv_head;
  std::int64_t begin, end;
};

template <class Score>
class ForwardTask {
 public:
  ForwardTask(const AttentionArgs& args, const ForwardScratch& scratch, const QueryTile& tile)
      : args_(args),
        shape_(args.shape),
        scratch_(scratch),
        tile_(tile),
        mask_(args.mask.mask(args.shape, tile.batch_idx)),
        score_(make_score<Score>(args.score, tile.batch_idx, tile.head)),
        depth_(padded_depth(shape_.head_dim)),
        columns_(padded_depth(shape_.head_dim_v)),
        chunk_(chunk_keys(shape_)),
        v_stride_(chunk_ / 2 * kPanelColumns) {}

  void run() {
    const auto q = args_.q.as<const bfloat16>();
    const std::int64_t rows = tile_.end - tile_.begin;
    const std::int64_t rows_padded = (rows + kRowBlock - 1) / kRowBlock * kRowBlock;
    copy_rows(q.row(tile_.batch_idx, tile_.head, tile_.begin), q.strides[2], rows, shape_.head_dim,
              rows_padded, depth_, sign_of_scale(score_), scratch_.q);
    for (std::int64_t i = 0; i < rows_padded * columns_; i += V::kSize) {
      V(0.0).store(scratch_.out + i);
    }
    for (std::int64_t r = 0; r < rows_padded; ++r) {
      scratch_.reference[r] = static_cast<float>(-__builtin_inf());
      V(0.0).store(scratch_.row_sums + r * V::kSize);
    }
    const IndexRange keys = keys_seen(mask_, tile_.begin, tile_.end);
    // Blocks begin at multiples of their size: what a query sums does not depend on the task.
    for (std::int64_t begin = keys.begin / chunk_ * chunk_; begin < keys.end; begin += chunk_) {
      add_chunk(begin, lesser(begin + chunk_, keys.end));
    }
    write_out();
  }

 private:
  void add_chunk(std::int64_t begin, std::int64_t end) {
    const IndexRange queries = queries_seeing(mask_, begin, end);
    const std::int64_t first = greater(queries.begin, tile_.begin);
    const std::int64_t last = lesser(queries.end, tile_.end);
    if (first >= last) return;
    pack(begin, trimmed(keys_seen(mask_, first, last), begin, end));
    for (std::int64_t row = (first - tile_.begin) / kRowBlock * kRowBlock; row < last - tile_.begin;
         row += kRowBlock) {
      const std::int64_t q_end = lesser(tile_.begin + row + kRowBlock, tile_.end);
      add_to_rows(row, begin, trimmed(keys_seen(mask_, tile_.begin + row, q_end), begin, end));
    }
  }

  void add_to_rows(std::int64_t row, std::int64_t begin, IndexRange keys) {
    for (std::int64_t first = keys.begin; first < keys.end; first += kBlockKeys) {
      add_block(row, begin, {first, lesser(first + kBlockKeys, keys.end)});
    }
  }

  /// The part of [begin, end) among `keys`, relative to begin, widened to whole steps.
  static IndexRange trimmed(IndexRange keys, std::int64_t begin, std::int64_t end) {
    const std::int64_t first = greater(keys.begin, begin) - begin;
    const std::int64_t last = lesser(keys.end, end) - begin;
    if (first >= last) return {0, 0};
    return {first / kDepthBlock * kDepthBlock,
            (last + kDepthBlock - 1) / kDepthBlock * kDepthBlock};
  }

  void pack(std::int64_t begin, IndexRange keys) {
    const auto k = args_.k.as<const bfloat16>();
    const auto v = args_.v.as<const bfloat16>();
    const std::int64_t first = begin + keys.begin;
    const std::int64_t count = lesser(begin + keys.end, mask_.seqlen_k) - first;
    pack_transposed(k.row(tile_.batch_idx, tile_.kv_head, first), k.strides[2], count,
                    shape_.head_dim, keys.size(), depth_,
                    scratch_.k_pairs + keys.begin * depth_ / 2);
    const bfloat16* v_rows = v.row(tile_.batch_idx, tile_.kv_head, first);
    pack_rows(v_rows, v.strides[2], count, shape_.head_dim_v, keys.size(),
              scratch_.v_pairs + keys.begin / 2 * kPanelColumns, v_stride_);
    finite_ = all_finite(v_rows, v.strides[2], count, shape_.head_dim_v);
    if (!finite_) {
      for (std::int64_t i = 0; i < columns_ * chunk_ / 2; ++i) {
        scratch_.v_clean[i] = without_non_finite(scratch_.v_pairs[i]);
      }
    }
  }

  void add_block(std::int64_t row, std::int64_t begin, IndexRange keys) {
    const std::int64_t first = begin + keys.begin;
    const std::int64_t count = keys.size();
    pair_product<false>(
        kRowBlock, count, depth_,
        {scratch_.q + row * depth_, depth_, scratch_.k_pairs + keys.begin * depth_ / 2,
         kPanelColumns * depth_ / 2, scratch_.scores, kBlockKeys});
    const bool partial =
        !is_full(mask_, tile_.begin + row, lesser(tile_.begin + row + kRowBlock, tile_.end), first,
                 first + count);
    float factor = magnitude_of_scale(score_);
    if constexpr (!Score::kIsIdentity) {
      apply_score(row, first, count, factor);
      factor = 1.0f;
    }
    if (partial) hide_masked(row, first, count);
    update_softmax(row, count, factor);
    const bool clean = partial && !finite_;
    pair_product<true>(
        kRowBlock, columns_, count,
        {weights(), kWeightsStride,
         (clean ? scratch_.v_clean : scratch_.v_pairs) + keys.begin / 2 * kPanelColumns, v_stride_,
         scratch_.out + row * columns_, columns_});
    if (clean) add_non_finite(row, first, count);
  }

  /// The weights of a row take the place of its scores.
  bfloat16* weights() const { return reinterpret_cast<bfloat16*>(scratch_.scores); }
  static constexpr std::int64_t kWeightsStride = 2 * kBlockKeys;

  IndexRange keys_of_row(std::int64_t row) const {
    const std::int64_t q = tile_.begin + row;
    return q < tile_.end ? keys_seen(mask_, q, q + 1) : IndexRange{};
  }

  void apply_score(std::int64_t row, std::int64_t first, std::int64_t count, float factor) {
    for (std::int64_t r = 0; r < kRowBlock; ++r) {
      const V diagonal(static_cast<float>(mask_.diagonal(tile_.begin + row + r)));
      float* scores = scratch_.scores + r * kBlockKeys;
      for (std::int64_t c = 0; c < count; c += V::kSize) {
        const V distance = abs(diagonal - positions<float>(first + c));
        (score_.score(V::load(scores + c) * V(factor), distance) * V(kLog2E)).store(scores + c);
      }
    }
  }

  void hide_masked(std::int64_t row, std::int64_t first, std::int64_t count) {
    for (std::int64_t r = 0; r < kRowBlock; ++r) {
      const IndexRange seen = keys_of_row(row + r);
      float* scores = scratch_.scores + r * kBlockKeys;
      for (std::int64_t c = 0; c < count; c += V::kSize) {
        const std::int64_t key = first + c;
        if (seen.begin <= key && key + V::kSize <= seen.end) continue;
        select(lane_range<float>(seen.begin - key, seen.end - key), V::load(scores + c),
               V(-__builtin_inf()))
            .store(scores + c);
      }
    }
  }

  /// Scores times `factor` become weights relative to the reference.
  void update_softmax(std::int64_t row, std::int64_t count, float factor) {
    const V scale(factor);
    for (std::int64_t r = 0; r < kRowBlock; ++r) {
      const float* scores = scratch_.scores + r * kBlockKeys;
      float* sums = scratch_.row_sums + (row + r) * V::kSize;
      V row_max = V::load(scores);
      for (std::int64_t c = V::kSize; c < count; c += V::kSize) {
        row_max = max(row_max, V::load(scores + c));
      }
      float& reference = scratch_.reference[row + r];
      if (_mm512_cmp_ps_mask((row_max * scale).raw, V(reference + kSlack).raw, _CMP_GT_OQ) != 0) {
        raise_reference(row + r, reduce_max(row_max * scale));
      }
      const V shift(reference == static_cast<float>(-__builtin_inf()) ? 0.0f : -reference);
      V sum0 = V::load(sums);
      V sum1(0.0);
      bfloat16* row_weights = weights() + r * kWeightsStride;
      for (std::int64_t c = 0; c < count; c += 2 * V::kSize) {
        const V low = exp2_weight(fma(V::load(scores + c), scale, shift));
        const V high = exp2_weight(fma(V::load(scores + c + V::kSize), scale, shift));
        sum0 = sum0 + low;
        sum1 = sum1 + high;
        store_rounded(row_weights + c, low, high);
      }
      (sum0 + sum1).store(sums);
    }
  }

  void raise_reference(std::int64_t row, float reference) {
    const V factor = exp2_weight(V(scratch_.reference[row] - reference));
    scratch_.reference[row] = reference;
    float* sums = scratch_.row_sums + row * V::kSize;
    (V::load(sums) * factor).store(sums);
    float* out = scratch_.out + row * columns_;
    for (std::int64_t c = 0; c < columns_; c += V::kSize)
      (V::load(out + c) * factor).store(out + c);
  }

  /// What the visible NaN and infinities of V add: v_clean had 0 in their place.
  void add_non_finite(std::int64_t row, std::int64_t first, std::int64_t count) {
    const auto v = args_.v.as<const bfloat16>();
    for (std::int64_t r = 0; r < kRowBlock; ++r) {
      const IndexRange seen = keys_of_row(row + r);
      const std::int64_t end = lesser(seen.end, first + count);
      for (std::int64_t key = greater(seen.begin, first); key < end; ++key) {
        const bfloat16* v_row = v.row(tile_.batch_idx, tile_.kv_head, key);
        const float weight = widened(weights()[r * kWeightsStride + key - first]);
        for (std::int64_t c = 0; c < shape_.head_dim_v; ++c) {
          if (!is_finite(v_row[c])) {
            scratch_.out[(row + r) * columns_ + split_column(c)] += weight * widened(v_row[c]);
          }
        }
      }
    }
  }

  void write_out() {
    const auto out = args_.out.as<bfloat16>();
    const auto lse = args_.lse.as<float>();
    for (std::int64_t q = tile_.begin; q < tile_.end; ++q) {
      const std::int64_t row = q - tile_.begin;
      const float sum = reduce_add(V::load(scratch_.row_sums + row * V::kSize));
      const OnlineSoftmax<double> softmax{scratch_.reference[row], sum};
      *lse.row(tile_.batch_idx, tile_.head, q) = static_cast<float>(softmax.finish());
      store_split_row(scratch_.out + row * columns_, static_cast<float>(softmax.normalizer()),
                      shape_.head_dim_v, out.row(tile_.batch_idx, tile_.head, q));
    }
  }

  const AttentionArgs& args_;
  const AttentionShape& shape_;
  const ForwardScratch& scratch_;
  const QueryTile tile_;
  const Mask mask_;
  const Score score_;
  const std::int64_t depth_, columns_;  ///< padded head_dim and head_dim_v
  const std::int64_t chunk_, v_stride_;
  bool finite_ = true;  ///< all of V in the packed block
};

template <class Score>
void run_tasks(const Job<AttentionArgs>& job) {
  const AttentionShape& shape = job.args->shape;
  Arena arena(job.scratch);
  const ForwardScratch scratch(arena, shape);
  const std::int64_t queries = task_queries(shape);
  const std::int64_t tiles = (shape.seqlen_q + queries - 1) / queries;
  const TileConfig tile_config;
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    // Head by head, for K and V in the cache; later queries see more keys and come first.
    const std::int64_t head_idx = task / tiles;
    const std::int64_t begin = (tiles - 1 - task % tiles) * queries;
    const std::int64_t head = head_idx % shape.heads;
    const QueryTile tile{head_idx / shape.heads, head, head / (shape.heads / shape.kv_heads), begin,
                         lesser(begin + queries, shape.seqlen_q)};
    ForwardTask<Score>(*job.args, scratch, tile).run();
  }
}

}  // namespace

Partition flash_partition(const AttentionShape& shape) {
  Arena arena;
  ForwardScratch(arena, shape);
  const std::int64_t queries = task_queries(shape);
  return {shape.batch * shape.heads * ((shape.seqlen_q + queries - 1) / queries),
          arena.used_bytes(), 0};
}

void flash(const Job<AttentionArgs>& job) {
  dispatch_score(job.args->score,
                 [&](auto score) { run_tasks<typename decltype(score)::type>(job); });
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
