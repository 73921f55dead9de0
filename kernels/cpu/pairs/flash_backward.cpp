// Backward attention for bfloat16, queries in lanes: for a tile of keys all queries that see it are
// visited, scores and weights recomputed as [key][query], and five products run over bfloat16
// operands with float32 sums (Dao 2023, arXiv 2307.08691, algorithm 2). P and dS are rounded as
// they lie for dV and dK; for dQ, which needs dS the other way round, two of its rows are
// interleaved and dQ is summed transposed. Tasks, parts and order of sums: as in
// lanes/flash_backward.cpp. Time: five products, about 16 vector instructions for 16 weights.
#include "kernels/cpu/pairs/flash_backward_softmax.h"
#include "kernels/cpu/pairs/kernels.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace {

using V = Lanes<float>;

template <class Score>
class BackwardTask {
 public:
  BackwardTask(const AttentionBackwardArgs& args, const BackwardScratch& scratch, float* grad_q,
               std::int64_t batch_idx, std::int64_t kv_head)
      : args_(args),
        shape_(args.shape),
        scratch_(scratch),
        grad_q_(grad_q),
        batch_idx_(batch_idx),
        kv_head_(kv_head),
        group_(shape_.heads / shape_.kv_heads),
        dim_(padded_depth(shape_.head_dim)),
        dim_v_(padded_depth(shape_.head_dim_v)),
        tile_keys_(backward_tile_keys(shape_)),
        mask_(args.mask.mask(shape_, batch_idx)) {}

  /// Every `stride`th key tile from the `first` one.
  void run(std::int64_t first, std::int64_t stride) {
    const std::int64_t count = grad_query_floats(shape_);
    for (std::int64_t i = 0; i < count; i += V::kSize) V(0.0).store(grad_q_ + i);
    for (std::int64_t tile = first; tile * tile_keys_ < shape_.seqlen_k; tile += stride) {
      key_tile({tile * tile_keys_, lesser((tile + 1) * tile_keys_, shape_.seqlen_k)});
    }
  }

 private:
  void key_tile(IndexRange keys) {
    for (std::int64_t i = 0; i < tile_keys_ * dim_; i += V::kSize) {
      V(0.0).store(scratch_.grad_k + i);
    }
    for (std::int64_t i = 0; i < tile_keys_ * dim_v_; i += V::kSize) {
      V(0.0).store(scratch_.grad_v + i);
    }
    const IndexRange queries = queries_seeing(mask_, keys.begin, keys.end);
    if (!queries.empty()) {
      pack_keys(keys);
      // Blocks begin at multiples of their size: dQ is kept in such blocks.
      const std::int64_t begin = queries.begin / kBlockQueries * kBlockQueries;
      for (std::int64_t member = 0; member < group_; ++member) {
        const std::int64_t head = kv_head_ * group_ + member;
        const Score score = make_score<Score>(args_.score, batch_idx_, head);
        for (std::int64_t q = begin; q < queries.end; q += kBlockQueries) {
          query_block(score, head, {q, lesser(q + kBlockQueries, shape_.seqlen_q)}, keys);
        }
      }
    }
    write_grads(keys);
  }

  void pack_keys(IndexRange keys) {
    const auto k = args_.k.as<const bfloat16>();
    const auto v = args_.v.as<const bfloat16>();
    const bfloat16* k_first = k.row(batch_idx_, kv_head_, keys.begin);
    copy_rows(k_first, k.strides[2], keys.size(), shape_.head_dim, tile_keys_, dim_,
              sign_of_scale(PlainScore{args_.score.scale}), scratch_.k);
    copy_rows(v.row(batch_idx_, kv_head_, keys.begin), v.strides[2], keys.size(), shape_.head_dim_v,
              tile_keys_, dim_v_, 0, scratch_.v);
    pack_rows(k_first, k.strides[2], keys.size(), shape_.head_dim, tile_keys_, scratch_.k_pairs,
              tile_keys_ / 2 * kPanelColumns);
    k_finite_ = all_finite(k_first, k.strides[2], keys.size(), shape_.head_dim);
    transpose_panels(scratch_.k_pairs, scratch_.k_columns);
    if (!k_finite_) {
      clean(scratch_.k_pairs, tile_keys_ / 2 * dim_);
      transpose_panels(scratch_.k_pairs, scratch_.k_columns_clean);
    }
  }

  /// [dim][tile keys] from panels of `pack_rows`: the rows are in the order of split_column.
  void transpose_panels(const std::uint32_t* panels, bfloat16* columns) const {
    const std::int64_t pairs = tile_keys_ / 2;
    auto* to = reinterpret_cast<float*>(columns);
    for (std::int64_t c = 0; c < dim_; c += kPanelColumns) {
      for (std::int64_t i = 0; i < pairs; i += V::kSize) {
        V block[16];
        for (int r = 0; r < 16; ++r) {
          block[r] =
              V::load(reinterpret_cast<const float*>(panels + c * pairs + (i + r) * kPanelColumns));
        }
        detail::transpose_in_registers<float>(block);
        for (int r = 0; r < 16; ++r) block[r].store(to + (c + r) * pairs + i);
      }
    }
  }

  static void clean(std::uint32_t* pairs, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) pairs[i] = without_non_finite(pairs[i]);
  }

  void query_block(const Score& score, std::int64_t head, IndexRange queries, IndexRange keys) {
    // NaN and infinities that only some pairs may see are left out of the products.
    const bool careful = !pack_queries(head, queries) &&
                         !is_full(mask_, queries.begin, queries.end, keys.begin, keys.end);
    if (careful) {
      clean(scratch_.q_pairs, kBlockQueries / 2 * dim_);
      clean(scratch_.grad_out_pairs, kBlockQueries / 2 * dim_v_);
    }
    const IndexRange all = seen_columns(queries, keys);
    if (all.empty()) return;
    for (std::int64_t i = 0; i < tile_keys_; i += kRowBlock) {
      const IndexRange rows{keys.begin + i, lesser(keys.begin + i + kRowBlock, keys.end)};
      const IndexRange columns = rows.empty() ? IndexRange{} : seen_columns(queries, rows);
      if (columns.begin > all.begin || columns.end < all.end || columns.empty()) {
        clear_grad_s_pairs(i, all);
      }
      if (columns.empty()) continue;
      row_block(score, i, rows, queries, columns);
      if (careful) add_non_finite_of_queries(head, i, rows, queries, columns);
    }
    float* grad_q = grad_q_of(head) + queries.begin * dim_;
    pair_product<true>(dim_, all.size(), tile_keys_,
                       {careful && !k_finite_ ? scratch_.k_columns_clean : scratch_.k_columns,
                        tile_keys_, scratch_.grad_s_pairs + all.begin * tile_keys_ / 2,
                        tile_keys_ / 2 * kPanelColumns, grad_q + all.begin, kBlockQueries});
  }

  float* grad_q_of(std::int64_t head) const {
    return grad_q_ + (head % group_) * round_up(shape_.seqlen_q, kBlockQueries) * dim_;
  }

  /// The queries of a block that see some of the keys, relative to the block, in whole steps.
  IndexRange seen_columns(IndexRange queries, IndexRange keys) const {
    const IndexRange seen = queries_seeing(mask_, keys.begin, keys.end);
    const std::int64_t first = greater(seen.begin, queries.begin) - queries.begin;
    const std::int64_t last = lesser(seen.end, queries.end) - queries.begin;
    if (first >= last) return {0, 0};
    return {first / kDepthBlock * kDepthBlock, round_up(last, kDepthBlock)};
  }

  /// Whether all is finite.
  bool pack_queries(std::int64_t head, IndexRange queries) {
    const auto q = args_.q.as<const bfloat16>();
    const auto grad_out = args_.grad_out.as<const bfloat16>();
    const bfloat16* q_first = q.row(batch_idx_, head, queries.begin);
    const bfloat16* go_first = grad_out.row(batch_idx_, head, queries.begin);
    const std::int64_t count = queries.size();
    pack_transposed(q_first, q.strides[2], count, shape_.head_dim, kBlockQueries, dim_,
                    scratch_.q_columns);
    pack_transposed(go_first, grad_out.strides[2], count, shape_.head_dim_v, kBlockQueries, dim_v_,
                    scratch_.grad_out_columns);
    pack_rows(q_first, q.strides[2], count, shape_.head_dim, kBlockQueries, scratch_.q_pairs,
              kBlockQueries / 2 * kPanelColumns);
    pack_rows(go_first, grad_out.strides[2], count, shape_.head_dim_v, kBlockQueries,
              scratch_.grad_out_pairs, kBlockQueries / 2 * kPanelColumns);
    prepare_rows(head, queries);
    return k_finite_ && all_finite(q_first, q.strides[2], count, shape_.head_dim) &&
           all_finite(go_first, grad_out.strides[2], count, shape_.head_dim_v);
  }

  /// lse in units of log2 and rowsum(dO * O). Where there is no query, or none of its scores is
  /// above -inf, lse becomes +inf: the weights become 0.
  void prepare_rows(std::int64_t head, IndexRange queries) {
    const auto lse = args_.lse.as<const float>();
    const auto out = args_.out.as<const bfloat16>();
    const auto grad_out = args_.grad_out.as<const bfloat16>();
    constexpr auto kInfinity = static_cast<float>(__builtin_inf());
    for (std::int64_t i = 0; i < kBlockQueries; ++i) {
      const std::int64_t q = queries.begin + i;
      scratch_.lse[i] = kInfinity;
      scratch_.delta[i] = 0;
      if (q >= queries.end) continue;
      const float row_lse = *lse.row(batch_idx_, head, q);
      if (row_lse != -kInfinity) scratch_.lse[i] = static_cast<float>(row_lse * kLog2E);
      const bfloat16* o = out.row(batch_idx_, head, q);
      const bfloat16* go = grad_out.row(batch_idx_, head, q);
      V sum(0.0);
      for (std::int64_t c = 0; c < shape_.head_dim_v; c += V::kSize) {
        sum = fma(load_partial(o + c, shape_.head_dim_v - c),
                  load_partial(go + c, shape_.head_dim_v - c), sum);
      }
      scratch_.delta[i] = reduce_add(sum);
    }
  }

  void clear_grad_s_pairs(std::int64_t row, IndexRange columns) {
    for (std::int64_t c = columns.begin; c < columns.end; c += kPanelColumns) {
      std::uint32_t* panel = scratch_.grad_s_pairs + c * tile_keys_ / 2 + row / 2 * kPanelColumns;
      for (std::int64_t i = 0; i < kRowBlock / 2; ++i) {
        _mm512_storeu_si512(panel + i * kPanelColumns, _mm512_setzero_si512());
      }
    }
  }

  /// kRowBlock keys from row `i` of the tile with the queries of `columns`: all but dQ.
  void row_block(const Score& score, std::int64_t i, IndexRange keys, IndexRange queries,
                 IndexRange columns) {
    const std::int64_t count = columns.size();
    pair_product<false>(kRowBlock, count, dim_,
                        {scratch_.k + i * dim_, dim_, scratch_.q_columns + columns.begin * dim_ / 2,
                         kPanelColumns * dim_ / 2, scratch_.scores, kBlockQueries});
    pair_product<false>(
        kRowBlock, count, dim_v_,
        {scratch_.v + i * dim_v_, dim_v_, scratch_.grad_out_columns + columns.begin * dim_v_ / 2,
         kPanelColumns * dim_v_ / 2, scratch_.grad_weights, kBlockQueries});
    const bool full = keys.size() == kRowBlock && queries.begin + columns.end <= queries.end &&
                      is_full(mask_, queries.begin + columns.begin, queries.begin + columns.end,
                              keys.begin, keys.end);
    if (full) {
      differentiate<false>(scratch_, mask_, score, i, keys, queries.begin, columns);
    } else {
      differentiate<true>(scratch_, mask_, score, i, keys, queries.begin, columns);
    }
    const std::int64_t depth_offset = columns.begin / 2 * kPanelColumns;
    const std::int64_t stride = kBlockQueries / 2 * kPanelColumns;
    pair_product<true>(kRowBlock, dim_v_, count,
                       {scratch_.weights(), kWeightsStride, scratch_.grad_out_pairs + depth_offset,
                        stride, scratch_.grad_v + i * dim_v_, dim_v_});
    pair_product<true>(kRowBlock, dim_, count,
                       {scratch_.grad_s(), kWeightsStride, scratch_.q_pairs + depth_offset, stride,
                        scratch_.grad_k + i * dim_, dim_});
  }

  /// The visible NaN and infinities that `careful` left out of the products.
  void add_non_finite_of_queries(std::int64_t head, std::int64_t i, IndexRange keys,
                                 IndexRange queries, IndexRange columns) {
    const auto q = args_.q.as<const bfloat16>();
    const auto k = args_.k.as<const bfloat16>();
    const auto grad_out = args_.grad_out.as<const bfloat16>();
    float* const grad_q = grad_q_of(head) + queries.begin * dim_;
    for (std::int64_t key = keys.begin; key < keys.end; ++key) {
      const std::int64_t row = key - keys.begin;
      const IndexRange seen = queries_seeing(mask_, key, key + 1);
      for (std::int64_t c = columns.begin; c < columns.end; ++c) {
        const std::int64_t query = queries.begin + c;
        if (query < seen.begin || query >= lesser(seen.end, queries.end)) continue;
        const std::int64_t at = row * kWeightsStride + c - columns.begin;
        add_scaled(widened(scratch_.weights()[at]), grad_out.row(batch_idx_, head, query),
                   shape_.head_dim_v, 1, scratch_.grad_v + (i + row) * dim_v_);
        add_scaled(widened(scratch_.grad_s()[at]), q.row(batch_idx_, head, query), shape_.head_dim,
                   1, scratch_.grad_k + (i + row) * dim_);
        if (!k_finite_) {
          add_scaled(widened(scratch_.grad_s()[at]), k.row(batch_idx_, kv_head_, key),
                     shape_.head_dim, kBlockQueries, grad_q + split_column(c));
        }
      }
    }
  }

  /// to[split_column(c) * stride] += weight * row[c] for the NaN and infinities of the row.
  static void add_scaled(float weight, const bfloat16* row, std::int64_t columns,
                         std::int64_t stride, float* to) {
    for (std::int64_t c = 0; c < columns; ++c) {
      if (!is_finite(row[c])) to[split_column(c) * stride] += weight * widened(row[c]);
    }
  }

  void write_grads(IndexRange keys) {
    const auto grad_k = args_.grad_k.as<bfloat16>();
    const auto grad_v = args_.grad_v.as<bfloat16>();
    const auto scale = static_cast<float>(args_.score.scale);
    for (std::int64_t i = 0; i < keys.size(); ++i) {
      store_split_row(scratch_.grad_k + i * dim_, scale, shape_.head_dim,
                      grad_k.row(batch_idx_, kv_head_, keys.begin + i));
      store_split_row(scratch_.grad_v + i * dim_v_, 1.0f, shape_.head_dim_v,
                      grad_v.row(batch_idx_, kv_head_, keys.begin + i));
    }
  }

  const AttentionBackwardArgs& args_;
  const AttentionShape& shape_;
  const BackwardScratch& scratch_;
  float* const grad_q_;
  const std::int64_t batch_idx_, kv_head_, group_;
  const std::int64_t dim_, dim_v_;  ///< padded
  const std::int64_t tile_keys_;
  const Mask mask_;
  bool k_finite_ = true;
};

template <class Score>
void run_tasks(const Job<AttentionBackwardArgs>& job) {
  const AttentionShape& shape = job.args->shape;
  const std::int64_t parts = flash_backward_parts(shape);
  Arena arena(job.scratch);
  const BackwardScratch scratch(arena, shape);
  const TileConfig tile_config;
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    if (parts == 1) {
      auto* grad_q = reinterpret_cast<float*>(job.scratch + arena.used_bytes());
      const std::int64_t batch_idx = task / shape.kv_heads;
      const std::int64_t kv_head = task % shape.kv_heads;
      BackwardTask<Score>(*job.args, scratch, grad_q, batch_idx, kv_head).run(0, 1);
      const std::int64_t group = shape.heads / shape.kv_heads;
      for (std::int64_t head = 0; head < group; ++head) {
        for (std::int64_t q = 0; q < shape.seqlen_q; q += kBlockQueries) {
          write_grad_q_block(*job.args, grad_q, 1, batch_idx, kv_head * group + head, q);
        }
      }
    } else {
      auto* grad_q = reinterpret_cast<float*>(job.shared) + task * grad_query_floats(shape);
      BackwardTask<Score>(*job.args, scratch, grad_q, job.batch_idx, task / parts)
          .run(task % parts, parts);
    }
  }
}

/// A task: one block of queries of one head.
void reduce_tasks(const Job<AttentionBackwardArgs>& job) {
  const AttentionShape& shape = job.args->shape;
  const std::int64_t parts = flash_backward_parts(shape);
  const std::int64_t group = shape.heads / shape.kv_heads;
  const std::int64_t blocks = (shape.seqlen_q + kBlockQueries - 1) / kBlockQueries;
  const auto* grad_q = reinterpret_cast<const float*>(job.shared);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    const std::int64_t head = task / blocks;
    write_grad_q_block(*job.args, grad_q + head / group * parts * grad_query_floats(shape), parts,
                       job.batch_idx, head, task % blocks * kBlockQueries);
  }
}

// Tasks per batch item that keep several cores busy; each part costs a dQ buffer.
constexpr std::int64_t kMinTasksPerItem = 8;

}  // namespace

std::int64_t flash_backward_parts(const AttentionShape& shape) {
  const std::int64_t keys = backward_tile_keys(shape);
  const std::int64_t tiles = (shape.seqlen_k + keys - 1) / keys;
  const std::int64_t wanted = (kMinTasksPerItem + shape.kv_heads - 1) / greater(shape.kv_heads, 1);
  return greater(lesser(wanted, tiles / 2), 1);
}

std::int64_t flash_backward_reduce_tasks(const AttentionShape& shape) {
  return shape.heads * ((shape.seqlen_q + kBlockQueries - 1) / kBlockQueries);
}

void flash_backward_reduce(const Job<AttentionBackwardArgs>& job) { reduce_tasks(job); }

Partition flash_backward_partition(const AttentionShape& shape) {
  Arena arena;
  BackwardScratch(arena, shape);
  const std::int64_t parts = flash_backward_parts(shape);
  const std::int64_t grad_q_bytes = grad_query_floats(shape) * 4;
  if (parts == 1) return {shape.batch * shape.kv_heads, arena.used_bytes() + grad_q_bytes, 0};
  return {shape.kv_heads * parts, arena.used_bytes(), shape.kv_heads * parts * grad_q_bytes};
}

void flash_backward(const Job<AttentionBackwardArgs>& job) {
  dispatch_score(job.args->score,
                 [&](auto score) { run_tasks<typename decltype(score)::type>(job); });
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
