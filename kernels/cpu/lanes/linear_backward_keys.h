// Backward linear attention, sweep backward in time: dk and dv, from the state R = sum of D q G^T
// and the sum of D c q over later tokens.
#pragma once

#include "kernels/cpu/lanes/linear_backward_rows.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

template <class T>
class KeySweep : LinearBackwardRows<T> {
  using Base = LinearBackwardRows<T>;
  using Base::args_, Base::batch_idx_, Base::dim_, Base::dim_v_, Base::group_, Base::kv_head_,
      Base::options_, Base::scratch_, Base::shape_;
  using typename Base::Acc;
  using typename Base::V;

 public:
  KeySweep(const LinearAttentionBackwardArgs& args, LinearBackwardScratch<Acc>& scratch,
           std::int64_t batch_idx, std::int64_t kv_head)
      : Base(args, scratch, batch_idx, kv_head) {}

  /// The whole sequence, the heads of the group side by side, chunk by chunk, so that sums over
  /// heads stay in scratch. `sums`: one for each head of the group.
  template <class SumsOf>
  void run(const SumsOf& sums) {
    const std::int64_t segments = num_segments(shape_.seqlen_k);
    for (std::int64_t m = 0; m < group_; ++m) state_of(m).clear();
    set_center(segments);
    for (std::int64_t s = segments - 1; s >= 0; --s) {
      for (std::int64_t m = 0; s != segments - 1 && m < group_; ++m) {
        state_of(m).begin_next_segment();
      }
      run_segment(s, sums);
    }
    for (std::int64_t m = 0; m < group_; ++m) sum_decay_grad(m, sums(m));
  }

  /// One segment; total_of(member): the state at its end, null for the last segment.
  template <class SumsOf, class TotalOf>
  void run_apart(std::int64_t segment, const SumsOf& sums, const TotalOf& total_of) {
    set_center(num_segments(shape_.seqlen_k));
    for (std::int64_t m = 0; m < group_; ++m) {
      state_of(m).clear();
      if (total_of(m) != nullptr) state_of(m).begin_segment(total_of(m));
    }
    run_segment(segment, sums);
  }

  /// Only the sums of a segment, as the sweep sums them; in the state of the first member.
  SegmentedState<Acc> sum_segment(std::int64_t member, std::int64_t segment,
                                  const TokenSums<Acc>& sums) {
    SegmentedState<Acc> state = state_of(0);
    state.clear();
    set_center(num_segments(shape_.seqlen_k));
    for_chunks(segment, [&](std::int64_t t, std::int64_t count) {
      this->load_keys(t, count);
      load_weighted(member, t, count, sums);
      this->transpose_g();
      if (options_.normalize) this->compute_c(member, t, count);
      add_to_state(t, state);
    });
    return state;
  }

  /// d log_decay from the tokens' differences: their suffix sum, in double.
  void sum_decay_grad(std::int64_t member, const TokenSums<Acc>& sums) {
    if (args_.grad_log_decay.data == nullptr) return;
    const auto grad = args_.grad_log_decay.template as<float>();
    double sum = 0.0;
    for (std::int64_t i = shape_.seqlen_q - 1; i >= 0; --i) {
      sum += static_cast<double>(sums.feature_dots[i]);
      *grad.row(batch_idx_, this->head_of(member), i) = static_cast<float>(sum);
    }
  }

 private:
  SegmentedState<Acc> state_of(std::int64_t member) const {
    const StateShape shape{dim_, dim_v_, dim_};
    return {shape, scratch_.reverse + member * SegmentedState<Acc>::buffer_size(shape)};
  }

  /// The mean of all values.
  void set_center(std::int64_t segments) {
    this->clear_values();
    if (options_.normalize) {
      this->move_center(this->sum_segments(segments), shape_.seqlen_k);
    }
  }

  /// function(begin, count) for the chunks of a segment, the last first.
  template <class F>
  void for_chunks(std::int64_t segment, const F& function) {
    const std::int64_t begin = segment * kSegment;
    const std::int64_t end = lesser(begin + kSegment, shape_.seqlen_k);
    for (std::int64_t t = begin + (end - 1 - begin) / kChunk * kChunk; t >= begin; t -= kChunk) {
      function(t, lesser(kChunk, shape_.seqlen_k - t));
    }
  }

  template <class SumsOf>
  void run_segment(std::int64_t segment, const SumsOf& sums) {
    for_chunks(segment, [&](std::int64_t t, std::int64_t count) {
      this->load_keys(t, count);
      fill_zero(scratch_.grad_k, kChunk * dim_);
      fill_zero(scratch_.grad_v, kChunk * dim_v_);
      for (std::int64_t m = 0; m < group_; ++m) chunk(m, t, count, sums(m));
      this->store_key_grads(t, count);
    });
  }

  /// Queries, pairs = mask(K Q^T) and G.
  void load_weighted(std::int64_t member, std::int64_t t, std::int64_t count,
                     const TokenSums<Acc>& sums) {
    Gates<Acc>& gates = scratch_.gates;
    this->load_queries(member, t, count);
    this->load_grad_out(member, t, count);
    gates.compute(options_, batch_idx_, this->head_of(member), t, count, Triangle::kUpper);
    transpose(scratch_.q, dim_, kChunk, dim_, scratch_.transposed, kChunk);
    pair_products<Acc, Triangle::kUpper>(
        {scratch_.k, dim_, scratch_.transposed, kChunk, shape_.head_dim},
        this->ahead(args_.k, kv_head_, t - kChunk), {nullptr, gates.of_pairs(), scratch_.pairs});
    divide_by_weights(t, count, sums);
  }

  void chunk(std::int64_t member, std::int64_t t, std::int64_t count, const TokenSums<Acc>& sums) {
    const std::int64_t head = this->head_of(member);
    const Gates<Acc>& gates = scratch_.gates;
    SegmentedState<Acc> state = state_of(member);
    load_weighted(member, t, count, sums);
    const bool finite = chunk_is_finite(scratch_.g, dim_v_);
    add_value_grads(head, t, state, !finite);
    this->transpose_g();
    if (options_.normalize) this->compute_c(member, t, count);
    pair_products<Acc, Triangle::kUpper>(
        {scratch_.v, dim_v_, scratch_.transposed, kChunk, shape_.head_dim_v},
        this->ahead(args_.v, kv_head_, t - kChunk),
        {this->shift(), gates.of_pairs(), scratch_.pairs});
    add_key_grads(head, t, state);
    add_decay_grad(t, count, sums);
    add_to_state(t, state);
  }

  /// G = dO / denominator: the pair of a token with itself is its own weight, in the bits of dv.
  void divide_by_weights(std::int64_t t, std::int64_t count, const TokenSums<Acc>& sums) {
    if (!options_.normalize) return;
    for (std::int64_t i = 0; i < kChunk; ++i) {
      scratch_.denominators[i] =
          i < count ? sums.earlier_weight[t + i] + scratch_.pairs[i * kChunk + i] : Acc(1);
    }
    this->divide_grad_out(count);
  }

  struct AddRows {
    Acc* sum;
    std::int64_t stride;

    ATTNLAB_INLINE void operator()(const Place& place, V value) const {
      Acc* at = sum + place.row * stride + place.vector() * V::kSize;
      (V::load(at) + value).store(at);
    }
  };

  /// dv += mask(K Q^T) G + K R
  void add_value_grads(std::int64_t head, std::int64_t t, const SegmentedState<Acc>& state,
                       bool row_by_row) {
    Ahead ahead = side_by_side(this->ahead(args_.q, head, t - kChunk),
                               this->ahead(args_.grad_out, head, t - kChunk));
    const ChunkOperands<Acc> op{
        .side = Triangle::kUpper,
        .pairs = {scratch_.pairs, kChunk, scratch_.g, dim_v_, kChunk},
        .state = {this->gated(scratch_.k, scratch_.gates.to_end, dim_, scratch_.k_gated), dim_,
                  state.total(), kPanels, dim_},
        .ahead = &ahead};
    chunk_product<Acc, ALayout::kRows>(kChunk, dim_v_ / V::kSize, op, row_by_row,
                                       AddRows{scratch_.grad_v, dim_v_});
  }

  /// Adds what later tokens bring through c.
  struct AddKeyGrad {
    Acc* grad;    ///< of this head
    Acc* grad_k;  ///< of the group
    std::int64_t stride;
    const Acc* c_sum;
    const Acc* gates;  ///< [kChunk]

    ATTNLAB_INLINE void operator()(const Place& place, V value) const {
      const std::int64_t d = place.vector() * V::kSize;
      const std::int64_t at = place.row * stride + d;
      value = fma(V::load(c_sum + d), V(gates[place.row]), value);
      value.store(grad + at);
      (V::load(grad_k + at) + value).store(grad_k + at);
    }
  };

  /// d phi(k) += mask(V G^T + c) Q + V R^T + sum of later c q
  void add_key_grads(std::int64_t head, std::int64_t t, const SegmentedState<Acc>& state) {
    const Gates<Acc>& gates = scratch_.gates;
    transpose_state({dim_, dim_v_, dim_}, state.total(), scratch_.r_transposed);
    Ahead ahead = side_by_side(this->ahead(args_.out, head, t - kChunk),
                               this->ahead(args_.grad_k, kv_head_, t - kChunk));
    const ChunkOperands<Acc> op{
        .side = Triangle::kUpper,
        .pairs = {scratch_.pairs, kChunk, scratch_.q, dim_, kChunk},
        .state = {this->gated(scratch_.v, gates.to_end, dim_v_, scratch_.v_gated), dim_v_,
                  scratch_.r_transposed, kPanels, dim_v_},
        .ahead = &ahead};
    chunk_product<Acc, ALayout::kRows>(
        kChunk, dim_ / V::kSize, op, !chunk_is_finite(scratch_.q, dim_),
        AddKeyGrad{scratch_.grad, scratch_.grad_k, dim_, state.row(), gates.to_end});
  }

  /// R = R * decay of the chunk + Q G^T; the sum of c q alike.
  void add_to_state(std::int64_t t, SegmentedState<Acc>& state) {
    const Gates<Acc>& gates = scratch_.gates;
    const Acc* q = this->gated(scratch_.q, gates.from_before, dim_, scratch_.q_gated);
    fill_zero(scratch_.row_sum, dim_);
    if (options_.normalize) {
      for (std::int64_t d = 0; d < dim_; d += V::kSize) {
        V sum(0.0);
        for (std::int64_t i = 0; i < kChunk; ++i) {
          sum = fma(V::load(q + i * dim_ + d), V(scratch_.c[i]), sum);
        }
        sum.store(scratch_.row_sum + d);
      }
    }
    state.add_chunk(q, scratch_.g, scratch_.row_sum, gates.whole,
                    this->ahead(args_.grad_v, kv_head_, t - kChunk));
  }

  void add_decay_grad(std::int64_t t, std::int64_t count, const TokenSums<Acc>& sums) {
    if (args_.grad_log_decay.data == nullptr) return;
    for (std::int64_t i = 0; i < count; ++i) {
      sums.feature_dots[t + i] -= dot_rows(scratch_.k + i * dim_, scratch_.grad + i * dim_, dim_);
    }
  }
};

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
