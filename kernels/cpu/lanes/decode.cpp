// Attention of a few queries at the end of a cache: bound by reading K and V once. The cache of a
// head is cut into chunks of keys, one task each (Flash-Decoding, Dao et al. 2023); all query rows
// of the head's group share the reads. A chunk leaves row_max, row_sum and an unnormalised output
// per row; a second region merges the chunks in order.
#include "kernels/cpu/arena.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/lanes/decode_block.h"
#include "kernels/cpu/lanes/kernels.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace {

// K and V of a block stay in the first cache level for further groups of rows. 16, 32 and 64 keys
// read bfloat16 at 14.6, 13.9 and 13.0 GB/s (head_dim 128, 4 rows), float32 at 14.8, 14.8 and 14.5,
// and make 83, 85 and 83 GFLOP/s with 32 rows in float32, 88, 94 and 98 in bfloat16 (Xeon,
// AVX-512).
constexpr std::int64_t kBlockKeys = 32;
constexpr std::int64_t kMinChunkKeys = 512;
constexpr std::int64_t kMaxChunkKeys = 4096;

/// About 16 chunks; depends on the length of the cache only.
std::int64_t chunk_keys(const AttentionShape& shape) {
  const std::int64_t even = round_up((shape.seqlen_k + 15) / 16, kMinChunkKeys);
  return even < kMinChunkKeys ? kMinChunkKeys : lesser(even, kMaxChunkKeys);
}

std::int64_t num_chunks(const AttentionShape& shape) {
  return greater(1, (shape.seqlen_k + chunk_keys(shape) - 1) / chunk_keys(shape));
}

/// Query rows of one kv_head, query by query: row = q_idx * group + head in group.
std::int64_t num_rows(const AttentionShape& shape) {
  return shape.heads / shape.kv_heads * shape.seqlen_q;
}

/// Rows rounded up to whole groups of 1, 2 or kGroupRows.
template <class Acc>
std::int64_t padded_rows(std::int64_t rows) {
  const std::int64_t rest = rows % kGroupRows<Acc>;
  return rest == 3 ? rows + 1 : rows;
}

/// What one chunk leaves behind; lies in shared memory.
template <class T>
struct Partial {
  using Acc = Accumulator<T>;
  Acc* row_max;
  Acc* row_sum;
  Acc* out;  ///< [padded rows][padded head_dim_v], in the order of pieces

  Partial(Arena& arena, const AttentionShape& shape) {
    const std::int64_t rows = padded_rows<Acc>(num_rows(shape));
    row_max = arena.take<Acc>(rows);
    row_sum = arena.take<Acc>(rows);
    out = arena.take<Acc>(rows * Piece<T>::padded(shape.head_dim_v));
  }

  static std::int64_t bytes(const AttentionShape& shape) {
    Arena arena;
    Partial(arena, shape);
    return arena.used_bytes();
  }
};

/// One worker's memory.
template <class T>
struct Scratch {
  using Acc = Accumulator<T>;
  Acc* q;       ///< per group of rows: [vector of a row][row], scaled, in the order of pieces
  Acc* state;   ///< [padded rows / group][2][kSize]: OnlineSoftmax of every group
  Acc* scores;  ///< [kBlockKeys][kGroupRows]
  Acc* row;     ///< [padded head_dim_v]

  Scratch(Arena& arena, const AttentionShape& shape) {
    const std::int64_t rows = padded_rows<Acc>(num_rows(shape));
    q = arena.take<Acc>(rows * Piece<T>::padded(shape.head_dim));
    state = arena.take<Acc>(rows * 2 * Lanes<Acc>::kSize);
    scores = arena.take<Acc>(kBlockKeys * kGroupRows<Acc>);
    row = arena.take<Acc>(Piece<T>::padded(shape.head_dim_v));
  }
};

template <class T>
class DecodeChunk {
  using Acc = Accumulator<T>;
  using V = Lanes<Acc>;
  using State = OnlineSoftmax<V>;

 public:
  DecodeChunk(const AttentionArgs& args, const Scratch<T>& scratch, const Partial<T>& partial,
              std::int64_t batch_idx, std::int64_t kv_head)
      : shape_(args.shape),
        args_(args),
        scratch_(scratch),
        partial_(partial),
        batch_idx_(batch_idx),
        kv_head_(kv_head),
        group_(shape_.heads / shape_.kv_heads),
        rows_(num_rows(shape_)) {}

  void run(std::int64_t begin, std::int64_t end) {
    clear();
    const std::int64_t length =
        args_.mask.seqlens_k != nullptr ? args_.mask.seqlens_k[batch_idx_] : shape_.seqlen_k;
    end = lesser(end, length);
    if (begin >= end) return;
    load_queries();
    // Keys that all queries see; the last seqlen_q - 1 are seen by the later ones only.
    const std::int64_t common_end = lesser(end, length - shape_.seqlen_q + 1);
    add_common(begin, common_end);
    const std::int64_t tail = greater(begin, greater(common_end, 0));
    for (std::int64_t row = 0; row < rows_ && tail < end; ++row) {
      const std::int64_t seen = row / group_ + length - shape_.seqlen_q + 1;
      if (tail < lesser(end, seen)) add_to_row(row, tail, lesser(end, seen));
    }
  }

 private:
  void clear() {
    const std::int64_t rows = padded_rows<Acc>(rows_);
    for (std::int64_t r = 0; r < rows; ++r) {
      partial_.row_max[r] = -std::numeric_limits<Acc>::infinity();
      partial_.row_sum[r] = Acc(0);
    }
    for (std::int64_t i = 0; i < rows * out_stride(); i += V::kSize) V(0.0).store(partial_.out + i);
  }

  std::int64_t out_stride() const { return Piece<T>::padded(shape_.head_dim_v); }
  std::int64_t q_stride() const { return Piece<T>::padded(shape_.head_dim); }

  /// function(first row, tag of the group's width) for every group of rows.
  template <class F>
  void for_each_group(const F& function) const {
    std::int64_t row = 0;
    constexpr int kWide = kGroupRows<Acc>;
    for (; kWide == 4 && rows_ - row > 2; row += kWide) {
      function(row, std::integral_constant<int, kWide>());
    }
    for (; rows_ - row >= 2; row += 2) function(row, std::integral_constant<int, 2>());
    for (; row < rows_; ++row) function(row, std::integral_constant<int, 1>());
  }

  void load_queries() {
    const auto q = args_.q.template as<const T>();
    const V scale(args_.score.scale * kLog2E);
    for (std::int64_t i = 0; i < padded_rows<Acc>(rows_) * q_stride(); i += V::kSize) {
      V(0.0).store(scratch_.q + i);
    }
    for_each_group([&](std::int64_t first, auto width) {
      for (std::int64_t r = 0; r < width && first + r < rows_; ++r) {
        const std::int64_t row = first + r;
        const T* from = q.row(batch_idx_, kv_head_ * group_ + row % group_, row / group_);
        Acc* to = scratch_.q + first * q_stride() + r * V::kSize;
        for (std::int64_t i = 0; i < shape_.head_dim; i += Piece<T>::kElements) {
          Piece<T> piece;
          piece.load_some(from + i, shape_.head_dim - i);
          for (int part = 0; part < Piece<T>::kParts; ++part) {
            (piece.parts[part] * scale).store(to);
            to += width * V::kSize;
          }
        }
      }
    });
  }

  CacheRows<T> rows_from(const TensorView& tensor, std::int64_t key) const {
    const auto view = tensor.as<const T>();
    return CacheRows<T>::streamed(view.row(batch_idx_, kv_head_, key), view.strides[2],
                                  tensor.sizes[3]);
  }

  void add_common(std::int64_t begin, std::int64_t end) {
    if (begin >= end) return;
    for_each_group([&](std::int64_t first, auto) { save(first, State{}); });
    for (std::int64_t key = begin; key < end; key += kBlockKeys) {
      const std::int64_t count = lesser(kBlockKeys, end - key);
      CacheRows<T> keys = rows_from(args_.k, key);
      CacheRows<T> values = rows_from(args_.v, key);
      for_each_group([&](std::int64_t first, auto width) {
        State state = saved(first);
        add_block<T, width>(keys, values, count, scratch_.q + first * q_stride(), width * V::kSize,
                            scratch_.scores, state, partial_.out + first * out_stride(),
                            out_stride());
        save(first, state);
        keys.ahead = values.ahead = 0;  // cached from here on
      });
    }
    for_each_group([&](std::int64_t first, auto width) {
      const State state = saved(first);
      const V sum = detail::fold_rows<Acc, width>(state.row_sum, [](V a, V b) { return a + b; });
      for (int r = 0; r < width; ++r) {
        partial_.row_max[first + r] = state.row_max.raw[r];
        partial_.row_sum[first + r] = sum.raw[r];
      }
    });
  }

  /// Keys [begin, end), at most seqlen_q - 1, into one row.
  void add_to_row(std::int64_t row, std::int64_t begin, std::int64_t end) {
    for_each_group([&](std::int64_t first, auto width) {
      if (row < first || row >= first + width) return;
      State state{V(partial_.row_max[row]), V(0.0)};
      state.row_sum.raw[0] = partial_.row_sum[row];
      add_block<T, 1>(rows_from(args_.k, begin), rows_from(args_.v, begin), end - begin,
                      scratch_.q + first * q_stride() + (row - first) * V::kSize, width * V::kSize,
                      scratch_.scores, state, partial_.out + row * out_stride(), out_stride());
      partial_.row_max[row] = state.row_max.raw[0];
      partial_.row_sum[row] = reduce_add(state.row_sum);
    });
  }

  Acc* state_of(std::int64_t first_row) const { return scratch_.state + first_row * 2 * V::kSize; }
  State saved(std::int64_t first_row) const {
    const Acc* at = state_of(first_row);
    return {V::load(at), V::load(at + V::kSize)};
  }
  void save(std::int64_t first_row, const State& state) const {
    state.row_max.store(state_of(first_row));
    state.row_sum.store(state_of(first_row) + V::kSize);
  }

  const AttentionShape& shape_;
  const AttentionArgs& args_;
  const Scratch<T>& scratch_;
  const Partial<T>& partial_;
  const std::int64_t batch_idx_, kv_head_, group_, rows_;
};

template <class T>
Partial<T> partial_of(const Job<AttentionArgs>& job, std::int64_t head_idx, std::int64_t chunk) {
  const AttentionShape& shape = job.args->shape;
  const std::int64_t index = head_idx * num_chunks(shape) + chunk;
  Arena arena(job.shared + index * Partial<T>::bytes(shape));
  return Partial<T>(arena, shape);
}

/// Joins the chunks of one row, in order, and writes it.
template <class T>
[[gnu::flatten]] void merge_row(const Job<AttentionArgs>& job, Accumulator<T>* sums,
                                std::int64_t head_idx, std::int64_t row) {
  using Acc = Accumulator<T>;
  using V = Lanes<Acc>;
  const AttentionShape& shape = job.args->shape;
  const std::int64_t stride = Piece<T>::padded(shape.head_dim_v);
  OnlineSoftmax<Acc> total;
  for (std::int64_t i = 0; i < stride; i += V::kSize) V(0.0).store(sums + i);
  for (std::int64_t chunk = 0; chunk < num_chunks(shape); ++chunk) {
    const Partial<T> part = partial_of<T>(job, head_idx, chunk);
    Acc part_factor;
    const V factor(total.merge({part.row_max[row], part.row_sum[row]}, &part_factor));
    for (std::int64_t i = 0; i < stride; i += V::kSize) {
      const V term = V::load(part.out + row * stride + i) * V(part_factor);
      fma(V::load(sums + i), factor, term).store(sums + i);
    }
  }
  const std::int64_t group = shape.heads / shape.kv_heads;
  const std::int64_t batch_idx = head_idx / shape.kv_heads;
  const std::int64_t head = head_idx % shape.kv_heads * group + row % group;
  const V normalizer(total.normalizer());
  T* const out = job.args->out.as<T>().row(batch_idx, head, row / group);
  for (std::int64_t i = 0; i < shape.head_dim_v; i += V::kSize) {
    alignas(64) Acc ordered[V::kSize] = {};
    const std::int64_t count = lesser(V::kSize, shape.head_dim_v - i);
    for (std::int64_t n = 0; n < count; ++n) ordered[n] = sums[Piece<T>::position(i + n)];
    store_partial(out + i, V::load(ordered) * normalizer, count);
  }
  // In double and rounded once: backward subtracts it from scores of the same size.
  *job.args->lse.as<Acc>().row(batch_idx, head, row / group) =
      static_cast<Acc>(OnlineSoftmax<double>{total.row_max, total.row_sum}.finish());
}

template <class T>
void run_chunks(const Job<AttentionArgs>& job) {
  const AttentionShape& shape = job.args->shape;
  Arena arena(job.scratch);
  const Scratch<T> scratch(arena, shape);
  const std::int64_t chunks = num_chunks(shape);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    const std::int64_t head_idx = task / chunks;
    const std::int64_t begin = task % chunks * chunk_keys(shape);
    const Partial<T> partial = partial_of<T>(job, head_idx, task % chunks);
    DecodeChunk<T>(*job.args, scratch, partial, head_idx / shape.kv_heads,
                   head_idx % shape.kv_heads)
        .run(begin, begin + chunk_keys(shape));
  }
}

template <class T>
void run_merge(const Job<AttentionArgs>& job) {
  Arena arena(job.scratch);
  const Scratch<T> scratch(arena, job.args->shape);
  const std::int64_t rows = num_rows(job.args->shape);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    for (std::int64_t row = 0; row < rows; ++row) merge_row<T>(job, scratch.row, task, row);
  }
}

}  // namespace

Partition decode_partition(const AttentionShape& shape) {
  return dispatch_dtype(shape.dtype, [&](auto type) -> Partition {
    using T = typename decltype(type)::type;
    Arena arena;
    Scratch<T>(arena, shape);
    const std::int64_t tasks = shape.batch * shape.kv_heads * num_chunks(shape);
    return {tasks, arena.used_bytes(), tasks * Partial<T>::bytes(shape)};
  });
}

void decode(const Job<AttentionArgs>& job) {
  dispatch_dtype(job.args->shape.dtype,
                 [&](auto type) { run_chunks<typename decltype(type)::type>(job); });
}

void decode_merge(const Job<AttentionArgs>& job) {
  dispatch_dtype(job.args->shape.dtype,
                 [&](auto type) { run_merge<typename decltype(type)::type>(job); });
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
