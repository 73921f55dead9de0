// Backward linear attention, what its passes share: loading the rows of a chunk and the center of
// the values.
#pragma once

#include "kernels/cpu/lanes/linear_backward_scratch.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

template <class T>
class LinearBackwardRows {
 protected:
  using Acc = Accumulator<T>;
  using V = Lanes<Acc>;

  LinearBackwardRows(const LinearAttentionBackwardArgs& args, LinearBackwardScratch<Acc>& scratch,
                     std::int64_t batch_idx, std::int64_t kv_head)
      : args_(args),
        options_(args.options),
        shape_(args.shape),
        scratch_(scratch),
        batch_idx_(batch_idx),
        kv_head_(kv_head),
        group_(shape_.heads / shape_.kv_heads),
        dim_(scratch.dim),
        dim_v_(scratch.dim_v) {}

  std::int64_t head_of(std::int64_t member) const { return kv_head_ * group_ + member; }

  std::int64_t count_at(std::int64_t begin, std::int64_t seqlen) const {
    return lesser(kChunk, seqlen - begin);
  }

  /// Keys as features, values relative to the center. The sum of the values goes to value_sum.
  void load_keys(std::int64_t begin, std::int64_t count) {
    const auto k = args_.k.as<const T>();
    load_features(options_.feature_map, k.row(batch_idx_, kv_head_, begin), k.strides[2], count,
                  shape_.head_dim, scratch_.k, dim_);
    load_values(begin, count);
    if (options_.normalize) subtract_center(scratch_.v, count);
  }

  /// Values as they are; where they have a center, value_sum takes them in.
  void load_values(std::int64_t begin, std::int64_t count) {
    const auto v = args_.v.as<const T>();
    load_chunk(v.row(batch_idx_, kv_head_, begin), v.strides[2], count, shape_.head_dim_v,
               scratch_.v, dim_v_);
    if (options_.normalize) add_rows(scratch_.v, dim_v_, scratch_.value_sum);
  }

  void load_queries(std::int64_t member, std::int64_t begin, std::int64_t count) {
    const auto q = args_.q.as<const T>();
    load_features(options_.feature_map, q.row(batch_idx_, head_of(member), begin), q.strides[2],
                  count, shape_.head_dim, scratch_.q, dim_);
  }

  /// g = dO.
  void load_grad_out(std::int64_t member, std::int64_t begin, std::int64_t count) {
    const auto grad_out = args_.grad_out.as<const T>();
    load_chunk(grad_out.row(batch_idx_, head_of(member), begin), grad_out.strides[2], count,
               shape_.head_dim_v, scratch_.g, dim_v_);
  }

  /// g = G = dO / denominator, 0 where that is 0.
  void divide_grad_out(std::int64_t count) {
    if (!options_.normalize) return;
    invert(scratch_.denominators, count, scratch_.reciprocals);
    for (std::int64_t i = 0; i < count; ++i) {
      Acc* g = scratch_.g + i * dim_v_;
      if (scratch_.denominators[i] == Acc(0)) {
        fill_zero(g, dim_v_);
        continue;
      }
      for (std::int64_t e = 0; e < dim_v_; e += V::kSize) {
        divide(V::load(g + e), scratch_.denominators[i], scratch_.reciprocals[i]).store(g + e);
      }
    }
  }

  void transpose_g() { transpose(scratch_.g, dim_v_, kChunk, dim_v_, scratch_.transposed, kChunk); }

  /// c = -(g . (O - center)), summed in the order of g . v: for a token that sees mostly itself O
  /// is close to v, and what is left of g . v + c must not be rounding. `transposed` holds g's.
  void compute_c(std::int64_t member, std::int64_t begin, std::int64_t count) {
    const auto out = args_.out.as<const T>();
    load_chunk(out.row(batch_idx_, head_of(member), begin), out.strides[2], count,
               shape_.head_dim_v, scratch_.out, dim_v_);
    subtract_center(scratch_.out, count);
    transpose(scratch_.out, dim_v_, kChunk, dim_v_, scratch_.out_columns, kChunk);
    column_dots(scratch_.out_columns, scratch_.transposed, shape_.head_dim_v, scratch_.c);
    for (std::int64_t i = 0; i < kChunk; i += V::kSize) {
      (V(0.0) - V::load(scratch_.c + i)).store(scratch_.c + i);
    }
  }

  /// What the pairs of a chunk are shifted by: c, or nothing.
  const Acc* shift() const { return options_.normalize ? scratch_.c : nullptr; }

  void subtract_center(Acc* rows, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      decay_and_add(rows + i * dim_v_, Acc(1), scratch_.center, Acc(-1), dim_v_);
    }
  }

  void clear_values() {
    fill_zero(scratch_.value_sum, dim_v_);
    fill_zero(scratch_.center, dim_v_);
  }

  /// center = mean of the `count` values whose sum is given.
  void move_center(const Acc* sum, std::int64_t count) {
    const V factor(Acc(1) / static_cast<Acc>(count));
    for (std::int64_t e = 0; e < dim_v_; e += V::kSize) {
      (V::load(sum + e) * factor).store(scratch_.center + e);
    }
  }

  /// The sum of the values of the first segments, one after the other; overwrites value_sum.
  const Acc* sum_segments(std::int64_t segments) {
    fill_zero(scratch_.value_sum, dim_v_);
    for (std::int64_t s = 0; s < segments; ++s) {
      decay_and_add(scratch_.value_sum, Acc(1), scratch_.segment_values + s * dim_v_, Acc(1),
                    dim_v_);
    }
    return scratch_.value_sum;
  }

  /// rows * gate, in `buffer`; the rows themselves where there is no decay.
  const Acc* gated(const Acc* rows, const Acc* gate, std::int64_t stride, Acc* buffer) const {
    if (!scratch_.gates.active) return rows;
    scale_rows(rows, gate, stride, buffer);
    return buffer;
  }

  /// The next piece of memory that a sweep will read.
  Ahead ahead(const TensorView& tensor, std::int64_t head, std::int64_t token) const {
    return chunk_ahead(tensor.as<const T>(), batch_idx_, head, token);
  }

  /// sum += the rows of a chunk, which are summed first.
  void add_rows(const Acc* rows, std::int64_t stride, Acc* sum) {
    for (std::int64_t c = 0; c < stride; c += V::kSize) {
      (V::load(sum + c) + sum_column(rows + c, stride)).store(sum + c);
    }
  }

  void store_query_grads(std::int64_t member, std::int64_t begin, std::int64_t count) {
    const auto grad_q = args_.grad_q.as<T>();
    store_feature_grad(options_.feature_map, scratch_.grad, scratch_.q, dim_, count,
                       shape_.head_dim, grad_q.row(batch_idx_, head_of(member), begin),
                       grad_q.strides[2]);
  }

  void store_key_grads(std::int64_t begin, std::int64_t count) {
    const auto grad_k = args_.grad_k.as<T>();
    const auto grad_v = args_.grad_v.as<T>();
    store_feature_grad(options_.feature_map, scratch_.grad_k, scratch_.k, dim_, count,
                       shape_.head_dim, grad_k.row(batch_idx_, kv_head_, begin), grad_k.strides[2]);
    store_rows(scratch_.grad_v, dim_v_, count, shape_.head_dim_v, Acc(1),
               grad_v.row(batch_idx_, kv_head_, begin), grad_v.strides[2]);
  }

  const LinearAttentionBackwardArgs& args_;
  const LinearOptions& options_;
  const AttentionShape& shape_;
  LinearBackwardScratch<Acc>& scratch_;
  const std::int64_t batch_idx_, kv_head_, group_, dim_, dim_v_;
};

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
