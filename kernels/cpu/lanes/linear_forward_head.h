// Forward linear attention of one head in chunks (Hua et al. 2022, arXiv 2202.10447; Yang et al.
// 2023, arXiv 2312.06635): out = (mask(Q K^T) V + (Q * gate) S) / denominator, then S = decay * S +
// K^T V. The denominators are sums of the weights themselves: of the rows of mask(Q K^T), and of Q
// z for what came before the chunk. So a token that sees only itself is weighted with exactly 1.
#pragma once

#include "kernels/cpu/lanes/linear_gates.h"
#include "kernels/cpu/lanes/linear_state.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// One worker's memory; D and E are the padded head_dim and head_dim_v.
template <class T>
struct LinearScratch {
  using Acc = Accumulator<T>;
  SegmentedState<Acc> state;  ///< [D][E] and z [D]
  Acc* q;                     ///< [kChunk][D] features
  Acc* k;                     ///< [kChunk][D] features
  Acc* k_transposed;          ///< [D][kChunk]
  Acc* v;                     ///< [kChunk][E]
  Acc* scores;                ///< [kChunk][kChunk]
  Acc* key_sum;               ///< [D] of the chunk
  Acc* denominators;          ///< [kChunk]
  Acc* reciprocals;           ///< [kChunk]
  T* out;                     ///< [kChunk][E] where rows of the tensor are not whole
  Gates<Acc> gates;

  LinearScratch(Arena& arena, const AttentionShape& shape)
      : LinearScratch(arena, padded_dim(shape.head_dim), padded_dim(shape.head_dim_v)) {}

  LinearScratch(Arena& arena, std::int64_t dim, std::int64_t dim_v)
      : state({dim, dim_v, dim},
              arena.take<Acc>(SegmentedState<Acc>::buffer_size({dim, dim_v, dim}))),
        q(arena.take<Acc>(kChunk * dim)),
        k(arena.take<Acc>(kChunk * dim)),
        k_transposed(arena.take<Acc>(dim * kChunk)),
        v(arena.take<Acc>(kChunk * dim_v)),
        scores(arena.take<Acc>(kChunk * kChunk)),
        key_sum(arena.take<Acc>(dim)),
        denominators(arena.take<Acc>(kChunk)),
        reciprocals(arena.take<Acc>(kChunk)),
        out(arena.take<T>(kChunk * dim_v)),
        gates(arena) {}
};

template <class T>
class LinearHead {
  using Acc = Accumulator<T>;
  using V = Lanes<Acc>;

 public:
  LinearHead(const LinearAttentionArgs& args, LinearScratch<T>& scratch, std::int64_t batch_idx,
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
    for (std::int64_t s = 0; s < num_segments(shape_.seqlen_k); ++s) {
      s == 0 ? scratch_.state.clear() : scratch_.state.begin_next_segment();
      run_segment(head, s);
    }
  }

  /// The tokens of one segment; the state is that of its start.
  void run_segment(std::int64_t head, std::int64_t segment) {
    const std::int64_t end = lesser((segment + 1) * kSegment, shape_.seqlen_k);
    for (std::int64_t t = segment * kSegment; t < end; t += kChunk) {
      causal_chunk(head, t, lesser(kChunk, shape_.seqlen_k - t));
    }
  }

  /// Only the sums of a whole segment, as run_segment sums them.
  void sum_segment(std::int64_t head, std::int64_t segment) {
    Gates<Acc>& gates = scratch_.gates;
    scratch_.state.clear();
    for (std::int64_t t = segment * kSegment; t < (segment + 1) * kSegment; t += kChunk) {
      load_keys(t, kChunk);
      gates.compute(options_, batch_idx_, head, t, kChunk, Triangle::kLower);
      if (gates.active) scale_rows(scratch_.k, gates.to_end, dim_, scratch_.k);
      add_to_state(chunk_ahead(args_.k.as<const T>(), batch_idx_, kv_head_, t + kChunk));
    }
  }

  /// All heads of the group: the state of the last key, then the queries.
  void run_full(std::int64_t group) {
    scratch_.state.clear();
    scratch_.gates.compute(options_, batch_idx_, 0, 0, kChunk, Triangle::kLower);
    for (std::int64_t t = 0; t < shape_.seqlen_k; t += kChunk) {
      if (t != 0 && t % kSegment == 0) scratch_.state.begin_next_segment();
      load_keys(t, lesser(kChunk, shape_.seqlen_k - t));
      add_to_state(chunk_ahead(args_.k.as<const T>(), batch_idx_, kv_head_, t + kChunk));
    }
    for (std::int64_t head = kv_head_ * group; head < (kv_head_ + 1) * group; ++head) {
      for (std::int64_t t = 0; t < shape_.seqlen_q; t += kChunk) {
        const std::int64_t count = lesser(kChunk, shape_.seqlen_q - t);
        load_queries(head, t, count);
        compute_denominators(false);
        write_out(head, t, count, Triangle::kNone);
      }
    }
  }

 private:
  /// Divides what the product sums and stores it in rows of T.
  struct StoreOut {
    T* out;
    std::int64_t stride;
    const Acc* denominators;  ///< null without normalising
    const Acc* reciprocals;

    ATTNLAB_INLINE void operator()(const Place& place, V sum) const {
      if (denominators != nullptr) {
        sum = divide(sum, denominators[place.row], reciprocals[place.row]);
      }
      store(out + place.row * stride + place.vector() * V::kSize, sum);
    }
  };

  void load_keys(std::int64_t begin, std::int64_t count) {
    const auto k = args_.k.as<const T>();
    const auto v = args_.v.as<const T>();
    load_features(options_.feature_map, k.row(batch_idx_, kv_head_, begin), k.strides[2], count,
                  shape_.head_dim, scratch_.k, dim_);
    finite_values_ = load_chunk(v.row(batch_idx_, kv_head_, begin), v.strides[2], count,
                                shape_.head_dim_v, scratch_.v, dim_v_);
  }

  void load_queries(std::int64_t head, std::int64_t begin, std::int64_t count) {
    const auto q = args_.q.as<const T>();
    load_features(options_.feature_map, q.row(batch_idx_, head, begin), q.strides[2], count,
                  shape_.head_dim, scratch_.q, dim_);
  }

  void causal_chunk(std::int64_t head, std::int64_t t, std::int64_t count) {
    Gates<Acc>& gates = scratch_.gates;
    load_keys(t, count);
    load_queries(head, t, count);
    gates.compute(options_, batch_idx_, head, t, count, Triangle::kLower);
    transpose(scratch_.k, dim_, kChunk, dim_, scratch_.k_transposed, kChunk);
    pair_products<Acc, Triangle::kLower>(
        {scratch_.q, dim_, scratch_.k_transposed, kChunk, shape_.head_dim},
        chunk_ahead(args_.k.as<const T>(), batch_idx_, kv_head_, t + kChunk),
        {nullptr, gates.of_pairs(), scratch_.scores});
    if (gates.active) {
      scale_rows(scratch_.q, gates.from_before, dim_, scratch_.q);
      scale_rows(scratch_.k, gates.to_end, dim_, scratch_.k);
    }
    compute_denominators(true);
    write_out(head, t, count, Triangle::kLower);
    add_to_state(chunk_ahead(args_.out.as<const T>(), batch_idx_, head, t + kChunk));
  }

  /// q . z of the state, plus the rows of the scores.
  void compute_denominators(bool with_scores) {
    if (!options_.normalize) return;
    const Acc* z = scratch_.state.row();
    for (std::int64_t i = 0; i < kChunk; i += V::kSize) {
      V sums[V::kSize];
      for (int r = 0; r < V::kSize; ++r) {
        const Acc* q = scratch_.q + (i + r) * dim_;
        V sum(0.0);
        for (std::int64_t c = 0; c < dim_; c += V::kSize) {
          sum = fma(V::load(q + c), V::load(z + c), sum);
        }
        for (std::int64_t c = 0; with_scores && c <= i; c += V::kSize) {
          sum = sum + V::load(scratch_.scores + (i + r) * kChunk + c);
        }
        sums[r] = sum;
      }
      sum_lanes<Acc>(sums).store(scratch_.denominators + i);
    }
  }

  void write_out(std::int64_t head, std::int64_t begin, std::int64_t count, Triangle side) {
    const auto out = args_.out.as<T>();
    T* rows = out.row(batch_idx_, head, begin);
    const bool whole = count == kChunk && shape_.head_dim_v == dim_v_;
    StoreOut store{whole ? rows : scratch_.out, whole ? out.strides[2] : dim_v_, nullptr,
                   scratch_.reciprocals};
    bool any_zero = false;
    if (options_.normalize) {
      any_zero = invert(scratch_.denominators, count, scratch_.reciprocals);
      store.denominators = scratch_.denominators;
    }
    Ahead ahead =
        side_by_side(chunk_ahead(args_.q.as<const T>(), batch_idx_, head, begin + kChunk),
                     chunk_ahead(args_.v.as<const T>(), batch_idx_, kv_head_, begin + kChunk));
    const ChunkOperands<Acc> op{.side = side,
                                .pairs = {scratch_.scores, kChunk, scratch_.v, dim_v_, kChunk},
                                .state = {scratch_.q, dim_, scratch_.state.total(), kPanels, dim_},
                                .ahead = &ahead};
    chunk_product<Acc, ALayout::kRows>(kChunk, dim_v_ / V::kSize, op, !finite_values_, store);
    for (std::int64_t i = 0; i < count; ++i) {
      T* row = store.out + i * store.stride;
      if (any_zero && scratch_.denominators[i] == Acc(0)) clear_row(row);
      if (!whole) copy_columns(row, rows + i * out.strides[2]);
    }
  }

  void clear_row(T* row) const {
    for (std::int64_t c = 0; c < shape_.head_dim_v; c += V::kSize) {
      store_partial(row + c, V(0.0), shape_.head_dim_v - c);
    }
  }

  void copy_columns(const T* from, T* to) const {
    for (std::int64_t c = 0; c < shape_.head_dim_v; ++c) to[c] = from[c];
  }

  void add_to_state(const Ahead& ahead) {
    if (options_.normalize) {
      sum_rows(scratch_.k, dim_, scratch_.key_sum);
    } else {
      fill_zero(scratch_.key_sum, dim_);
    }
    scratch_.state.add_chunk(scratch_.k, scratch_.v, scratch_.key_sum, scratch_.gates.whole, ahead);
  }

  const LinearAttentionArgs& args_;
  const LinearOptions& options_;
  const AttentionShape& shape_;
  LinearScratch<T>& scratch_;
  const std::int64_t batch_idx_, kv_head_, dim_, dim_v_;
  bool finite_values_ = true;
};

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
