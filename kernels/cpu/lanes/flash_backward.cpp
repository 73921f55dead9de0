// Backward attention, keys in lanes, one pass with five products: for a tile of keys all queries
// that see it are visited, the scores recomputed from lse, and dK, dV summed in scratch, dQ in a
// buffer of the task (Dao 2023, arXiv 2307.08691, algorithm 2). Every sum has one fixed order: a
// task is one (batch, kv_head), or, where there are few heads, one of `parts` interleaved sets of
// its key tiles, whose dQ are added up afterwards. No sum depends on the batch or the number of
// workers.
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/lanes/flash_common.h"
#include "kernels/cpu/lanes/kernels.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace {

constexpr std::int64_t kTileQueries = 64;
// Tasks per batch item that keep several cores busy; each part costs a dQ buffer.
constexpr std::int64_t kMinTasksPerItem = 8;

/// dQ of one task: sums of all query rows of the heads of one kv_head, and rowsum(dO * O).
template <class Acc>
struct GradQueryBuffer {
  Acc* grad_q;  ///< [heads / kv_heads][seqlen_q][padded head_dim]
  Acc* delta;   ///< [heads / kv_heads][seqlen_q]

  GradQueryBuffer(Arena& arena, const AttentionShape& shape) {
    const std::int64_t rows = shape.heads / shape.kv_heads * shape.seqlen_q;
    grad_q = arena.take<Acc>(rows * padded_dim(shape.head_dim));
    delta = arena.take<Acc>(rows);
  }
};

/// One worker's tiles; [..][kTileLanes] unless said.
template <class Acc>
struct BackwardScratch {
  Acc* k;         ///< [head_dim], keys in lanes
  Acc* v;         ///< [head_dim_v], keys in lanes
  Acc* grad_k;    ///< [head_dim]
  Acc* grad_v;    ///< [head_dim_v]
  Acc* k_rows;    ///< [kTileLanes][padded head_dim]
  Acc* weights;   ///< [kTileQueries]
  Acc* grad_s;    ///< [kTileQueries]
  Acc* q;         ///< [kTileQueries][padded head_dim], for 16-bit inputs
  Acc* q_scaled;  ///< [kTileQueries][padded head_dim]
  Acc* grad_out;  ///< [kTileQueries][padded head_dim_v], for 16-bit inputs

  BackwardScratch(Arena& arena, const AttentionShape& shape) {
    constexpr std::int64_t kWidth = kTileLanes<Acc>;
    const bool widens = element_size(shape.dtype) == 2;
    k = arena.take<Acc>(shape.head_dim * kWidth);
    v = arena.take<Acc>(shape.head_dim_v * kWidth);
    grad_k = arena.take<Acc>(shape.head_dim * kWidth);
    grad_v = arena.take<Acc>(shape.head_dim_v * kWidth);
    k_rows = arena.take<Acc>(kWidth * padded_dim(shape.head_dim));
    weights = arena.take<Acc>(kTileQueries * kWidth);
    grad_s = arena.take<Acc>(kTileQueries * kWidth);
    q = arena.take<Acc>(widens ? kTileQueries * padded_dim(shape.head_dim) : 0);
    q_scaled = arena.take<Acc>(kTileQueries * padded_dim(shape.head_dim));
    grad_out = arena.take<Acc>(widens ? kTileQueries * padded_dim(shape.head_dim_v) : 0);
  }
};

template <class Acc>
std::int64_t grad_query_bytes(const AttentionShape& shape) {
  Arena arena;
  GradQueryBuffer<Acc>(arena, shape);
  return arena.used_bytes();
}

template <class T, class Score>
class BackwardTask {
  using Acc = Accumulator<T>;
  using V = Lanes<Acc>;
  static constexpr std::int64_t kWidth = kTileLanes<Acc>;

 public:
  BackwardTask(const AttentionBackwardArgs& args, const BackwardScratch<Acc>& scratch,
               const GradQueryBuffer<Acc>& sums, std::int64_t batch_idx, std::int64_t kv_head)
      : args_(args),
        shape_(args.shape),
        scratch_(scratch),
        sums_(sums),
        batch_idx_(batch_idx),
        kv_head_(kv_head),
        group_(shape_.heads / shape_.kv_heads),
        padded_(padded_dim(shape_.head_dim)),
        mask_(args.mask.mask(shape_, batch_idx)) {}

  /// Every `stride`th key tile from the `first` one.
  void run(std::int64_t first, std::int64_t stride) {
    prepare_queries();
    for (std::int64_t tile = first; tile * kWidth < shape_.seqlen_k; tile += stride) {
      key_tile(tile * kWidth, lesser((tile + 1) * kWidth, shape_.seqlen_k));
    }
  }

 private:
  std::int64_t head_of(std::int64_t member) const { return kv_head_ * group_ + member; }

  void prepare_queries() {
    const std::int64_t rows = group_ * shape_.seqlen_q;
    for (std::int64_t i = 0; i < rows * padded_; i += V::kSize) V(0.0).store(sums_.grad_q + i);
    const auto out = args_.out.as<const T>();
    const auto grad_out = args_.grad_out.as<const T>();
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t head = head_of(row / shape_.seqlen_q);
      const T* o = out.row(batch_idx_, head, row % shape_.seqlen_q);
      const T* go = grad_out.row(batch_idx_, head, row % shape_.seqlen_q);
      V sum(0.0);
      for (std::int64_t c = 0; c < shape_.head_dim_v; c += V::kSize) {
        sum = fma(load_partial(o + c, shape_.head_dim_v - c),
                  load_partial(go + c, shape_.head_dim_v - c), sum);
      }
      sums_.delta[row] = reduce_add(sum);
    }
  }

  void key_tile(std::int64_t begin, std::int64_t end) {
    clear(scratch_.grad_k, shape_.head_dim);
    clear(scratch_.grad_v, shape_.head_dim_v);
    const IndexRange queries = queries_seeing(mask_, begin, end);
    if (!queries.empty()) {
      const auto k = args_.k.as<const T>();
      const auto v = args_.v.as<const T>();
      const T* k_first = k.row(batch_idx_, kv_head_, begin);
      load_rows(k_first, k.strides[2], end - begin, shape_.head_dim, scratch_.k_rows, padded_);
      load_transposed(v.row(batch_idx_, kv_head_, begin), v.strides[2], end - begin,
                      shape_.head_dim_v, Acc(1), scratch_.v, kWidth);
      load_transposed(k_first, k.strides[2], end - begin, shape_.head_dim, Acc(1), scratch_.k,
                      kWidth);
      for (std::int64_t member = 0; member < group_; ++member) {
        const Score score = make_score<Score>(args_.score, batch_idx_, head_of(member));
        for (std::int64_t q = queries.begin; q < queries.end; q += kTileQueries) {
          query_tile(score, member, {q, lesser(q + kTileQueries, queries.end)}, {begin, end});
        }
      }
    }
    write_grad(args_.grad_k, scratch_.grad_k, shape_.head_dim, args_.score.scale, begin, end);
    write_grad(args_.grad_v, scratch_.grad_v, shape_.head_dim_v, 1.0, begin, end);
  }

  void query_tile(const Score& score, std::int64_t member, IndexRange queries, IndexRange keys) {
    const std::int64_t head = head_of(member);
    const std::int64_t rows = queries.size();
    const bool partial = !is_full(mask_, queries.begin, queries.end, keys.begin, keys.end);
    const auto q = args_.q.as<const T>();
    const auto grad_out = args_.grad_out.as<const T>();
    const auto q_rows = view_rows(q.row(batch_idx_, head, queries.begin), q.strides[2], rows,
                                  shape_.head_dim, scratch_.q, padded_);
    const auto go_rows =
        view_rows(grad_out.row(batch_idx_, head, queries.begin), grad_out.strides[2], rows,
                  shape_.head_dim_v, scratch_.grad_out, padded_dim(shape_.head_dim_v));

    // The same products in the same order as forward, so that a score has the same rounding here
    // and in lse: it cancels in exp(score - lse), which it would not otherwise.
    scale_rows(q_rows, rows, static_cast<Acc>(operand_scale(score)));
    Acc* grad_q = sums_.grad_q + (member * shape_.seqlen_q + queries.begin) * padded_;
    gemm_tile<Acc, Init::kZero, ALayout::kRows, true>(
        rows, shape_.head_dim,
        {scratch_.q_scaled, padded_, scratch_.k, kWidth, scratch_.weights, kWidth, nullptr,
         go_rows.data, go_rows.stride});
    gemm_tile<Acc, Init::kZero, ALayout::kRows, true>(
        rows, shape_.head_dim_v,
        {go_rows.data, go_rows.stride, scratch_.v, kWidth, scratch_.grad_s, kWidth, nullptr, grad_q,
         padded_});
    if (partial) {
      differentiate<true>(score, member, queries, keys);
    } else {
      differentiate<false>(score, member, queries, keys);
    }

    const auto lanes_of_query = [&](std::int64_t i) {
      const IndexRange seen = keys_seen(mask_, queries.begin + i, queries.begin + i + 1);
      return IndexRange{seen.begin - keys.begin, seen.end - keys.begin};
    };
    add_outer(go_rows, rows, shape_.head_dim_v, scratch_.weights, scratch_.grad_v, partial,
              lanes_of_query);
    add_outer(q_rows, rows, shape_.head_dim, scratch_.grad_s, scratch_.grad_k, partial,
              lanes_of_query);
    add_grad_q(grad_q, rows, keys.size(), partial, lanes_of_query);
  }

  void scale_rows(const RowsView<Acc>& rows, std::int64_t count, Acc scale) {
    for (std::int64_t r = 0; r < count; ++r) {
      for (std::int64_t c = 0; c < shape_.head_dim; c += V::kSize) {
        (load_partial(rows.data + r * rows.stride + c, shape_.head_dim - c) * V(scale))
            .store(scratch_.q_scaled + r * padded_ + c);
      }
    }
  }

  /// Scores become weights P = exp(s - lse); dO V^T becomes dS = P * (dO V^T - delta) * score'.
  template <bool kPartial>
  void differentiate(const Score& score, std::int64_t member, IndexRange queries, IndexRange keys) {
    const auto lse = args_.lse.as<const Acc>();
    const Acc* delta = sums_.delta + member * shape_.seqlen_q;
    for (std::int64_t q_idx = queries.begin; q_idx < queries.end; ++q_idx) {
      const std::int64_t row = (q_idx - queries.begin) * kWidth;
      const Acc row_lse = *lse.row(batch_idx_, head_of(member), q_idx);
      // A row whose visible scores are all -inf has weights 0.
      const V reference(row_lse == -__builtin_inf() ? static_cast<Acc>(__builtin_inf())
                                                    : static_cast<Acc>(row_lse * kLog2E));
      const V row_delta(delta[q_idx]);
      const IndexRange seen = kPartial ? keys_seen(mask_, q_idx, q_idx + 1) : IndexRange{};
      for (int v = 0; v < kTileVectors; ++v) {
        Acc* weight_at = scratch_.weights + row + v * V::kSize;
        Acc* grad_at = scratch_.grad_s + row + v * V::kSize;
        const std::int64_t first = keys.begin + v * V::kSize;
        V dot = V::load(weight_at);
        V slope(1.0);
        if constexpr (!Score::kIsIdentity) {
          slope = score.derivative(dot);
          const V distance =
              abs(V(static_cast<Acc>(mask_.diagonal(q_idx))) - positions<Acc>(first));
          dot = score.score(dot, distance) * V(kLog2E);
        }
        V weight = exp2(dot - reference);
        V grad = weight * (V::load(grad_at) - row_delta);
        if constexpr (!Score::kIsIdentity) grad = grad * slope;
        if constexpr (kPartial) {
          const auto visible = lane_range<Acc>(seen.begin - first, seen.end - first);
          weight = select(visible, weight, V(0.0));
          grad = select(visible, grad, V(0.0));
        }
        weight.store(weight_at);
        grad.store(grad_at);
      }
    }
  }

  /// sums[c][lane] += a[row][c] * b[row][lane].
  template <class Kept>
  void add_outer(const RowsView<Acc>& a, std::int64_t rows, std::int64_t columns, const Acc* b,
                 Acc* sums, bool partial, const Kept& kept) {
    if (partial && !all_finite(a, rows, columns)) {
      masked_product(columns, rows, a.data, a.stride, b, sums, static_cast<const V*>(nullptr),
                     kept);
    } else {
      gemm_tile<Acc, Init::kAdd, ALayout::kColumns>(columns, rows,
                                                    {a.data, a.stride, b, kWidth, sums, kWidth});
    }
  }

  template <class Kept>
  void add_grad_q(Acc* grad_q, std::int64_t rows, std::int64_t keys, bool partial,
                  const Kept& kept) {
    const std::int64_t vectors = (shape_.head_dim + V::kSize - 1) / V::kSize;
    if (partial && !all_finite(RowsView<Acc>{scratch_.k_rows, padded_}, keys, shape_.head_dim)) {
      for (std::int64_t r = 0; r < rows; ++r) {
        const IndexRange seen = kept(r);
        const std::int64_t first = greater(seen.begin, 0);
        const std::int64_t last = lesser(seen.end, keys);
        if (first >= last) continue;
        gemm<Acc, Init::kAdd, ALayout::kRows>(
            vectors, 0, 1, last - first,
            {scratch_.grad_s + r * kWidth + first, kWidth, scratch_.k_rows + first * padded_,
             padded_, grad_q + r * padded_, padded_});
      }
    } else {
      gemm<Acc, Init::kAdd, ALayout::kRows>(
          vectors, 0, rows, keys,
          {scratch_.grad_s, kWidth, scratch_.k_rows, padded_, grad_q, padded_});
    }
  }

  void clear(Acc* tile, std::int64_t rows) {
    for (std::int64_t i = 0; i < rows * kWidth; i += V::kSize) V(0.0).store(tile + i);
  }

  void write_grad(const TensorView& grad, const Acc* sums, std::int64_t columns, double scale,
                  std::int64_t begin, std::int64_t end) {
    alignas(64) Acc factors[kWidth];
    for (int v = 0; v < kTileVectors; ++v) V(scale).store(factors + v * V::kSize);
    const auto view = grad.as<T>();
    store_transposed(sums, kWidth, end - begin, columns, factors,
                     view.row(batch_idx_, kv_head_, begin), view.strides[2]);
  }

  const AttentionBackwardArgs& args_;
  const AttentionShape& shape_;
  const BackwardScratch<Acc>& scratch_;
  const GradQueryBuffer<Acc>& sums_;
  const std::int64_t batch_idx_, kv_head_, group_, padded_;
  const Mask mask_;
};

/// One part only: its dQ is the result.
template <class T>
void write_grad_q(const AttentionBackwardArgs& args, const GradQueryBuffer<Accumulator<T>>& sums,
                  std::int64_t batch_idx, std::int64_t kv_head) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = args.shape;
  const std::int64_t group = shape.heads / shape.kv_heads;
  const std::int64_t padded = padded_dim(shape.head_dim);
  const auto grad_q = args.grad_q.as<T>();
  for (std::int64_t member = 0; member < group; ++member) {
    store_rows(sums.grad_q + member * shape.seqlen_q * padded, padded, shape.seqlen_q,
               shape.head_dim, static_cast<Acc>(args.score.scale),
               grad_q.row(batch_idx, kv_head * group + member, 0), grad_q.strides[2]);
  }
}

template <class T, class Score>
void run_tasks(const Job<AttentionBackwardArgs>& job) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = job.args->shape;
  const std::int64_t parts = flash_backward_parts(shape);
  Arena arena(job.scratch);
  const BackwardScratch<Acc> scratch(arena, shape);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    if (parts == 1) {
      Arena own(job.scratch + arena.used_bytes());
      const GradQueryBuffer<Acc> sums(own, shape);
      const std::int64_t batch_idx = task / shape.kv_heads;
      const std::int64_t kv_head = task % shape.kv_heads;
      BackwardTask<T, Score>(*job.args, scratch, sums, batch_idx, kv_head).run(0, 1);
      write_grad_q<T>(*job.args, sums, batch_idx, kv_head);
    } else {
      Arena shared(job.shared + task * grad_query_bytes<Acc>(shape));
      const GradQueryBuffer<Acc> sums(shared, shape);
      BackwardTask<T, Score>(*job.args, scratch, sums, job.batch_idx, task / parts)
          .run(task % parts, parts);
    }
  }
}

/// A task: kTileQueries rows of one head; the parts are added in order.
template <class T>
void reduce_tasks(const Job<AttentionBackwardArgs>& job) {
  using Acc = Accumulator<T>;
  using V = Lanes<Acc>;
  const AttentionShape& shape = job.args->shape;
  const std::int64_t parts = flash_backward_parts(shape);
  const std::int64_t group = shape.heads / shape.kv_heads;
  const std::int64_t padded = padded_dim(shape.head_dim);
  const std::int64_t part_bytes = grad_query_bytes<Acc>(shape);
  const std::int64_t tiles = (shape.seqlen_q + kTileQueries - 1) / kTileQueries;
  const auto grad_q = job.args->grad_q.as<T>();
  const V scale(job.args->score.scale);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    const std::int64_t head = task / tiles;
    const std::byte* first_part = job.shared + head / group * parts * part_bytes;
    const std::int64_t begin = task % tiles * kTileQueries;
    const std::int64_t end = lesser(begin + kTileQueries, shape.seqlen_q);
    for (std::int64_t q = begin; q < end; ++q) {
      const std::int64_t row = (head % group * shape.seqlen_q + q) * padded;
      T* to = grad_q.row(job.batch_idx, head, q);
      for (std::int64_t c = 0; c < shape.head_dim; c += V::kSize) {
        V sum(0.0);
        for (std::int64_t part = 0; part < parts; ++part) {
          sum =
              sum + V::load(reinterpret_cast<const Acc*>(first_part + part * part_bytes) + row + c);
        }
        store_partial(to + c, sum * scale, shape.head_dim - c);
      }
    }
  }
}

template <class Acc>
Partition partition(const AttentionShape& shape) {
  Arena arena;
  BackwardScratch<Acc>(arena, shape);
  const std::int64_t parts = flash_backward_parts(shape);
  if (parts == 1) {
    return {shape.batch * shape.kv_heads, arena.used_bytes() + grad_query_bytes<Acc>(shape), 0};
  }
  const std::int64_t tasks = shape.kv_heads * parts;
  return {tasks, arena.used_bytes(), tasks * grad_query_bytes<Acc>(shape)};
}

}  // namespace

std::int64_t flash_backward_parts(const AttentionShape& shape) {
  const std::int64_t width =
      shape.dtype == DType::kFloat64 ? kTileLanes<double> : kTileLanes<float>;
  const std::int64_t tiles = (shape.seqlen_k + width - 1) / width;
  const std::int64_t wanted = (kMinTasksPerItem + shape.kv_heads - 1) / greater(shape.kv_heads, 1);
  return greater(lesser(wanted, tiles / 4), 1);
}

std::int64_t flash_backward_reduce_tasks(const AttentionShape& shape) {
  return shape.heads * ((shape.seqlen_q + kTileQueries - 1) / kTileQueries);
}

Partition flash_backward_partition(const AttentionShape& shape) {
  return shape.dtype == DType::kFloat64 ? partition<double>(shape) : partition<float>(shape);
}

void flash_backward(const Job<AttentionBackwardArgs>& job) {
  dispatch_dtype(job.args->shape.dtype, [&](auto type) {
    dispatch_score(job.args->score, [&](auto score) {
      run_tasks<typename decltype(type)::type, typename decltype(score)::type>(job);
    });
  });
}

void flash_backward_reduce(const Job<AttentionBackwardArgs>& job) {
  dispatch_dtype(job.args->shape.dtype,
                 [&](auto type) { reduce_tasks<typename decltype(type)::type>(job); });
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
