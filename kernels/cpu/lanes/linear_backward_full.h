// Backward linear attention that is not causal: every query sees the state of the last key, so
// there are three passes without triangles.
#pragma once

#include "kernels/cpu/lanes/linear_backward_rows.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

template <class T>
class FullBackward : LinearBackwardRows<T> {
  using Base = LinearBackwardRows<T>;
  using Base::args_, Base::batch_idx_, Base::dim_, Base::dim_v_, Base::group_, Base::kv_head_,
      Base::options_, Base::scratch_, Base::shape_;
  using typename Base::Acc;
  using typename Base::V;

 public:
  FullBackward(const LinearAttentionBackwardArgs& args, LinearBackwardScratch<Acc>& scratch,
               std::int64_t batch_idx, std::int64_t kv_head)
      : Base(args, scratch, batch_idx, kv_head),
        reverse_shape_{dim_, dim_v_, dim_},
        reverse_(reverse_shape_, scratch.reverse) {}

  void run() {
    scratch_.gates.compute(options_, batch_idx_, 0, 0, kChunk, Triangle::kLower);
    sum_keys();
    reverse_.clear();
    std::int64_t chunks = 0;
    for (std::int64_t m = 0; m < group_; ++m) {
      for (std::int64_t t = 0; t < shape_.seqlen_q; t += kChunk) {
        if (chunks++ % (kSegment / kChunk) == 0 && chunks != 1) reverse_.begin_next_segment();
        query_chunk(m, t, lesser(kChunk, shape_.seqlen_q - t));
      }
    }
    transpose_state(reverse_shape_, reverse_.total(), scratch_.r_transposed);
    for (std::int64_t t = 0; t < shape_.seqlen_k; t += kChunk) {
      key_chunk(t, lesser(kChunk, shape_.seqlen_k - t));
    }
  }

 private:
  struct StoreRows {
    Acc* rows;
    std::int64_t stride;
    const Acc* offset;   ///< [stride], or null
    const Acc* weights;  ///< [kChunk] of the offset

    ATTNLAB_INLINE void operator()(const Place& place, V value) const {
      const std::int64_t c = place.vector() * V::kSize;
      if (offset != nullptr) value = fma(V::load(offset + c), V(weights[place.row]), value);
      value.store(rows + place.row * stride + c);
    }
  };

  /// The center and the state of all keys.
  void sum_keys() {
    this->clear_values();
    if (options_.normalize) {
      for (std::int64_t t = 0; t < shape_.seqlen_k; t += kChunk) {
        this->load_keys(t, lesser(kChunk, shape_.seqlen_k - t));
      }
      this->move_center(scratch_.value_sum, shape_.seqlen_k);
    }
    scratch_.state.clear();
    for (std::int64_t t = 0; t < shape_.seqlen_k; t += kChunk) {
      if (t != 0 && t % kSegment == 0) scratch_.state.begin_next_segment();
      this->load_keys(t, lesser(kChunk, shape_.seqlen_k - t));
      sum_rows(scratch_.k, dim_, scratch_.row_sum);
      scratch_.state.add_chunk(scratch_.v, scratch_.k, scratch_.row_sum, Acc(1),
                               this->ahead(args_.k, kv_head_, t + kChunk));
    }
  }

  /// dq of a chunk; adds to R and the sum of c q.
  void query_chunk(std::int64_t member, std::int64_t t, std::int64_t count) {
    const Acc* z = scratch_.state.row();
    this->load_queries(member, t, count);
    this->load_grad_out(member, t, count);
    for (std::int64_t i = 0; i < kChunk; ++i) {
      scratch_.denominators[i] = i < count ? dot_rows(scratch_.q + i * dim_, z, dim_) : Acc(1);
    }
    this->divide_grad_out(count);
    fill_zero(scratch_.c, kChunk);
    if (options_.normalize) {
      this->transpose_g();
      this->compute_c(member, t, count);
    }
    multiply(scratch_.g, dim_v_, scratch_.state.total(), dim_,
             {scratch_.grad, dim_, options_.normalize ? z : nullptr, scratch_.c},
             this->ahead(args_.q, this->head_of(member), t + kChunk));
    this->store_query_grads(member, t, count);
    for (std::int64_t d = 0; d < dim_; d += V::kSize) {
      V sum(0.0);
      for (std::int64_t i = 0; i < kChunk; ++i) {
        sum = fma(V::load(scratch_.q + i * dim_ + d), V(scratch_.c[i]), sum);
      }
      sum.store(scratch_.row_sum + d);
    }
    reverse_.add_chunk(scratch_.q, scratch_.g, scratch_.row_sum, Acc(1),
                       this->ahead(args_.grad_out, this->head_of(member), t + kChunk));
  }

  void key_chunk(std::int64_t t, std::int64_t count) {
    this->load_keys(t, count);
    for (std::int64_t i = 0; i < kChunk; ++i) scratch_.c[i] = 1;
    const Ahead ahead = side_by_side(this->ahead(args_.k, kv_head_, t + kChunk),
                                     this->ahead(args_.v, kv_head_, t + kChunk));
    multiply(scratch_.k, dim_, reverse_.total(), dim_v_,
             {scratch_.grad_v, dim_v_, nullptr, nullptr}, ahead);
    multiply(scratch_.v, dim_v_, scratch_.r_transposed, dim_,
             {scratch_.grad_k, dim_, reverse_.row(), scratch_.c}, ahead);
    this->store_key_grads(t, count);
  }

  /// Rows of a chunk times a state.
  void multiply(const Acc* a, std::int64_t depth, const Acc* state, std::int64_t columns,
                const StoreRows& store, Ahead ahead) {
    const ChunkOperands<Acc> op{
        .pairs = {}, .state = {a, depth, state, kPanels, depth}, .ahead = &ahead};
    chunk_product<Acc, ALayout::kRows>(kChunk, columns / V::kSize, op, false, store);
  }

  const StateShape reverse_shape_;
  SegmentedState<Acc> reverse_;
};

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
