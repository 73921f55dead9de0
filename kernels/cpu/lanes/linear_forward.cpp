// Forward linear attention in chunks (Hua et al. 2022, arXiv 2202.10447; Yang et al. 2023, arXiv
// 2312.06635): out = (Q * gate) S + mask(Q K^T) V, then S = decay * S + K^T V. The denominators
// come from a running z, token by token.
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/lanes/kernels.h"
#include "kernels/cpu/lanes/linear_common.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace {

/// One worker's memory; D and E are the padded head_dim and head_dim_v.
template <class Acc>
struct LinearScratch {
  Acc* state;         ///< [head_dim][E]
  Acc* q;             ///< [kChunk][D] features
  Acc* k;             ///< [kChunk][D] features
  Acc* k_transposed;  ///< [head_dim][kChunk]
  Acc* v;             ///< [kChunk][E]
  Acc* out;           ///< [kChunk][E]
  Acc* scores;        ///< [kChunk][kChunk]
  Gates<Acc> gates;
  Denominators<Acc> denominators;

  LinearScratch(Arena& arena, const AttentionShape& shape)
      : state(arena.take<Acc>(shape.head_dim * padded_dim(shape.head_dim_v))),
        q(arena.take<Acc>(kChunk * padded_dim(shape.head_dim))),
        k(arena.take<Acc>(kChunk * padded_dim(shape.head_dim))),
        k_transposed(arena.take<Acc>(shape.head_dim * kChunk)),
        v(arena.take<Acc>(kChunk * padded_dim(shape.head_dim_v))),
        out(arena.take<Acc>(kChunk * padded_dim(shape.head_dim_v))),
        scores(arena.take<Acc>(kChunk * kChunk)),
        gates(arena),
        denominators(arena, shape.head_dim) {}
};

template <class T>
class LinearHead {
  using Acc = Accumulator<T>;

 public:
  LinearHead(const LinearAttentionArgs& args, LinearScratch<Acc>& scratch, std::int64_t batch_idx,
             std::int64_t kv_head)
      : args_(args),
        options_(args.options),
        shape_(args.shape),
        scratch_(scratch),
        batch_idx_(batch_idx),
        kv_head_(kv_head),
        dim_(padded_dim(shape_.head_dim)),
        dim_v_(padded_dim(shape_.head_dim_v)) {}

  void run_causal(std::int64_t head) {
    clear_state();
    for (std::int64_t t = 0; t < shape_.seqlen_k; t += kChunk) {
      const std::int64_t count = lesser(kChunk, shape_.seqlen_k - t);
      load_keys(t, count);
      load_queries(head, t, count);
      scratch_.gates.compute(options_, batch_idx_, head, t, count, true);
      causal_chunk(count);
      store_out(head, t, count);
    }
  }

  /// All heads of the group: the state of the last key, then the queries.
  void run_full(std::int64_t group) {
    clear_state();
    for (std::int64_t t = 0; t < shape_.seqlen_k; t += kChunk) {
      const std::int64_t count = lesser(kChunk, shape_.seqlen_k - t);
      load_keys(t, count);
      for (std::int64_t i = 0; i < count; ++i) {
        decay_and_add(scratch_.denominators.z, Acc(1), scratch_.k + i * dim_, Acc(1), dim_);
      }
      add_to_state(count);
    }
    for (std::int64_t head = kv_head_ * group; head < (kv_head_ + 1) * group; ++head) {
      for (std::int64_t t = 0; t < shape_.seqlen_q; t += kChunk) {
        const std::int64_t count = lesser(kChunk, shape_.seqlen_q - t);
        load_queries(head, t, count);
        for (std::int64_t i = 0; i < count; ++i) {
          scratch_.denominators.values[i] =
              dot_rows(scratch_.q + i * dim_, scratch_.denominators.z, dim_);
        }
        query_state(count);
        store_out(head, t, count);
      }
    }
  }

 private:
  void clear_state() {
    fill_zero(scratch_.state, shape_.head_dim * dim_v_);
    fill_zero(scratch_.denominators.z, dim_);
  }

  void load_keys(std::int64_t begin, std::int64_t count) {
    const auto k = args_.k.as<const T>();
    const auto v = args_.v.as<const T>();
    map_rows(options_.feature_map, k.row(batch_idx_, kv_head_, begin), k.strides[2], count,
             shape_.head_dim, scratch_.k, dim_);
    load_rows(v.row(batch_idx_, kv_head_, begin), v.strides[2], count, shape_.head_dim_v,
              scratch_.v, dim_v_);
  }

  void load_queries(std::int64_t head, std::int64_t begin, std::int64_t count) {
    const auto q = args_.q.as<const T>();
    map_rows(options_.feature_map, q.row(batch_idx_, head, begin), q.strides[2], count,
             shape_.head_dim, scratch_.q, dim_);
  }

  void causal_chunk(std::int64_t count) {
    const Gates<Acc>& gates = scratch_.gates;
    scratch_.denominators.advance(scratch_.q, scratch_.k, count, shape_.head_dim, gates);
    load_transposed(scratch_.k, dim_, count, shape_.head_dim, Acc(1), scratch_.k_transposed,
                    kChunk);
    triangle_scores(true, count, shape_.head_dim, scratch_.q, dim_, scratch_.k_transposed, gates,
                    static_cast<const Acc*>(nullptr), scratch_.scores);
    if (gates.active) {
      for (std::int64_t i = 0; i < count; ++i) {
        scale_row(scratch_.q + i * dim_, gates.from_before[i], dim_);
        scale_row(scratch_.k + i * dim_, gates.to_end[i], dim_);
      }
    }
    query_state(count);
    triangle_product(true, count, vectors_for<Acc>(shape_.head_dim_v), scratch_.scores, scratch_.v,
                     dim_v_, scratch_.out, dim_v_);
    if (gates.active) scale_row(scratch_.state, gates.whole, shape_.head_dim * dim_v_);
    add_to_state(count);
  }

  void query_state(std::int64_t count) {
    gemm<Acc, Init::kZero, ALayout::kRows>(
        vectors_for<Acc>(shape_.head_dim_v), 0, count, shape_.head_dim,
        {scratch_.q, dim_, scratch_.state, dim_v_, scratch_.out, dim_v_});
  }

  void add_to_state(std::int64_t count) {
    gemm<Acc, Init::kAdd, ALayout::kColumns>(
        vectors_for<Acc>(shape_.head_dim_v), 0, shape_.head_dim, count,
        {scratch_.k, dim_, scratch_.v, dim_v_, scratch_.state, dim_v_});
  }

  void store_out(std::int64_t head, std::int64_t begin, std::int64_t count) {
    const auto out = args_.out.as<T>();
    for (std::int64_t i = 0; i < count; ++i) {
      Acc* row = scratch_.out + i * dim_v_;
      if (options_.normalize) {
        const Acc denominator = scratch_.denominators.values[i];
        if (denominator == Acc(0)) {
          fill_zero(row, dim_v_);
        } else {
          divide_row(row, denominator, dim_v_);
        }
      }
      store_rows(row, dim_v_, 1, shape_.head_dim_v, Acc(1), out.row(batch_idx_, head, begin + i),
                 out.strides[2]);
    }
  }

  const LinearAttentionArgs& args_;
  const LinearOptions& options_;
  const AttentionShape& shape_;
  LinearScratch<Acc>& scratch_;
  const std::int64_t batch_idx_, kv_head_, dim_, dim_v_;
};

template <class T>
void run_tasks(const Job<LinearAttentionArgs>& job) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = job.args->shape;
  const std::int64_t group = shape.heads / shape.kv_heads;
  Arena arena(job.scratch);
  LinearScratch<Acc> scratch(arena, shape);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    if (job.args->options.causal) {
      const std::int64_t head = task % shape.heads;
      LinearHead<T>(*job.args, scratch, task / shape.heads, head / group).run_causal(head);
    } else {
      const HeadTask keys = kv_head_task(shape, task);
      LinearHead<T>(*job.args, scratch, keys.batch_idx, keys.kv_head).run_full(group);
    }
  }
}

}  // namespace

Partition linear_partition(const AttentionShape& shape, bool causal) {
  Arena arena;
  if (shape.dtype == DType::kFloat64) {
    LinearScratch<double>(arena, shape);
  } else {
    LinearScratch<float>(arena, shape);
  }
  return {shape.batch * (causal ? shape.heads : shape.kv_heads), arena.used_bytes(), 0};
}

void linear(const Job<LinearAttentionArgs>& job) {
  dispatch_dtype(job.args->shape.dtype,
                 [&](auto type) { run_tasks<typename decltype(type)::type>(job); });
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
