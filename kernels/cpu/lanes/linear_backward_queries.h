// Backward linear attention, sweep forward in time: dq, from the state S = sum of D v k^T, and what
// the sweep backward needs of every token.
#pragma once

#include "kernels/cpu/lanes/linear_backward_rows.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

template <class T>
class QuerySweep : LinearBackwardRows<T> {
  using Base = LinearBackwardRows<T>;
  using Base::args_, Base::batch_idx_, Base::dim_, Base::dim_v_, Base::kv_head_, Base::options_,
      Base::scratch_, Base::shape_;
  using typename Base::Acc;
  using typename Base::V;

 public:
  QuerySweep(const LinearAttentionBackwardArgs& args, LinearBackwardScratch<Acc>& scratch,
             std::int64_t batch_idx, std::int64_t kv_head)
      : Base(args, scratch, batch_idx, kv_head) {}

  /// The whole sequence of one head.
  void run(std::int64_t member, const TokenSums<Acc>& sums) {
    for (std::int64_t s = 0; s < num_segments(shape_.seqlen_q); ++s) {
      begin_segment(s);
      run_segment(member, s, sums);
      copy_row(scratch_.value_sum, scratch_.segment_values + s * dim_v_, dim_v_);
    }
  }

  /// One segment; `total`: the state at its start, relative to its center (null for the first).
  void run_apart(std::int64_t member, std::int64_t segment, const Acc* total,
                 const TokenSums<Acc>& sums) {
    scratch_.state.clear();
    set_center(segment);
    if (segment != 0) scratch_.state.begin_segment(total);
    run_segment(member, segment, sums);
  }

  /// Only the sums of a whole segment, as the sweep sums them, relative to the center that it ends
  /// with.
  void sum_segment(std::int64_t member, std::int64_t segment) {
    Gates<Acc>& gates = scratch_.gates;
    scratch_.state.clear();
    set_center(segment);
    for (std::int64_t t = segment * kSegment; t < (segment + 1) * kSegment; t += kChunk) {
      follow_center(segment, t);
      this->load_keys(t, kChunk);
      gates.compute(options_, batch_idx_, this->head_of(member), t, kChunk, Triangle::kLower);
      add_to_state(this->ahead(args_.k, kv_head_, t + kChunk));
    }
  }

  /// The sum of the values of a segment, in value_sum.
  void sum_values(std::int64_t segment) {
    this->clear_values();
    const std::int64_t end = lesser((segment + 1) * kSegment, shape_.seqlen_k);
    for (std::int64_t t = segment * kSegment; t < end; t += kChunk) {
      this->load_values(t, lesser(kChunk, shape_.seqlen_k - t));
    }
  }

  /// Turns a total relative to the center `from` into one relative to that of `segment`'s start.
  void recenter(const Acc* from, std::int64_t segment, const StateShape& shape, Acc* total) {
    if (!options_.normalize) return;
    copy_row(from, scratch_.center, dim_v_);
    SegmentedState<Acc>::shift_rows(
        shape, move_center_by(this->sum_segments(segment), segment * kSegment), total);
  }

 private:
  /// After the segment before it: the state goes on, relative to a new center.
  void begin_segment(std::int64_t segment) {
    if (segment == 0) {
      scratch_.state.clear();
      this->clear_values();
      return;
    }
    scratch_.state.begin_next_segment();
    if (!options_.normalize) return;
    move_center_and_state(this->sum_segments(segment), segment * kSegment);
    fill_zero(scratch_.value_sum, dim_v_);
  }

  /// The center at the start of a segment.
  void set_center(std::int64_t segment) {
    this->clear_values();
    if (!options_.normalize || segment == 0) return;
    this->move_center(this->sum_segments(segment), segment * kSegment);
    fill_zero(scratch_.value_sum, dim_v_);
  }

  /// The mean of few values moves fast: 32, 64, 128, ... tokens.
  void follow_center(std::int64_t segment, std::int64_t t) {
    if (!options_.normalize || segment != 0 || t == 0 || (t & (t - 1)) != 0) return;
    move_center_and_state(scratch_.value_sum, t);
  }

  void run_segment(std::int64_t member, std::int64_t segment, const TokenSums<Acc>& sums) {
    const std::int64_t end = lesser((segment + 1) * kSegment, shape_.seqlen_q);
    for (std::int64_t t = segment * kSegment; t < end; t += kChunk) {
      follow_center(segment, t);
      chunk(member, t, lesser(kChunk, shape_.seqlen_q - t), sums);
    }
  }

  /// The center becomes the mean of the `count` values so far; the state follows, by the sum of its
  /// keys for each value.
  void move_center_and_state(const Acc* sum, std::int64_t count) {
    scratch_.state.shift_rows(move_center_by(sum, count));
  }

  /// Returns the old center minus the new one, in scratch.
  const Acc* move_center_by(const Acc* sum, std::int64_t count) {
    Acc* shift = scratch_.out;
    copy_row(scratch_.center, shift, dim_v_);
    this->move_center(sum, count);
    decay_and_add(shift, Acc(1), scratch_.center, Acc(-1), dim_v_);
    return shift;
  }

  void chunk(std::int64_t member, std::int64_t t, std::int64_t count, const TokenSums<Acc>& sums) {
    Gates<Acc>& gates = scratch_.gates;
    const std::int64_t head = this->head_of(member);
    this->load_keys(t, count);
    this->load_queries(member, t, count);
    this->load_grad_out(member, t, count);
    gates.compute(options_, batch_idx_, head, t, count, Triangle::kLower);
    if (options_.normalize) {
      compute_denominators();
      for (std::int64_t i = 0; i < count; ++i) {
        sums.earlier_weight[t + i] = scratch_.earlier_weights[i];
      }
      this->transpose_g();
      this->compute_c(member, t, count);
    }
    transpose(scratch_.v, dim_v_, kChunk, dim_v_, scratch_.transposed, kChunk);
    pair_products<Acc, Triangle::kLower>(
        {scratch_.g, dim_v_, scratch_.transposed, kChunk, shape_.head_dim_v},
        this->ahead(args_.k, kv_head_, t + kChunk),
        {this->shift(), gates.of_pairs(), scratch_.pairs});
    compute_grad(head, t);
    clear_undefined(count);
    if (args_.grad_log_decay.data != nullptr) {
      for (std::int64_t i = 0; i < count; ++i) {
        sums.feature_dots[t + i] = dot_rows(scratch_.q + i * dim_, scratch_.grad + i * dim_, dim_);
      }
    }
    this->store_query_grads(member, t, count);
    add_to_state(side_by_side(this->ahead(args_.out, head, t + kChunk),
                              this->ahead(args_.grad_q, head, t + kChunk)));
  }

  void add_to_state(const Ahead& ahead) {
    const Gates<Acc>& gates = scratch_.gates;
    const Acc* k = this->gated(scratch_.k, gates.to_end, dim_, scratch_.k_gated);
    sum_rows(k, dim_, scratch_.row_sum);
    scratch_.state.add_chunk(scratch_.v, k, scratch_.row_sum, gates.whole, ahead);
  }

  /// phi(q_i) . z_i, and without the token itself in `earlier_weights`.
  void compute_denominators() {
    const Gates<Acc>& gates = scratch_.gates;
    const Acc* z = scratch_.state.row();
    Acc* in_chunk = scratch_.z_rows;  // of the tokens before this one
    fill_zero(in_chunk, dim_);
    for (std::int64_t i = 0; i < kChunk; i += V::kSize) {
      V earlier[V::kSize];
      V own[V::kSize];
      for (int r = 0; r < V::kSize; ++r) {
        const V from_before(gates.from_before[i + r]);
        const V step(gates.step[i + r]);
        const Acc* q = scratch_.q + (i + r) * dim_;
        const Acc* k = scratch_.k + (i + r) * dim_;
        earlier[r] = own[r] = V(0.0);
        for (std::int64_t d = 0; d < dim_; d += V::kSize) {
          const V seen = V::load(in_chunk + d) * step;
          const V query = V::load(q + d);
          earlier[r] = fma(query, fma(V::load(z + d), from_before, seen), earlier[r]);
          own[r] = fma(query, V::load(k + d), own[r]);
          (seen + V::load(k + d)).store(in_chunk + d);
        }
      }
      const V sum = sum_lanes<Acc>(earlier);
      sum.store(scratch_.earlier_weights + i);
      (sum + sum_lanes<Acc>(own)).store(scratch_.denominators + i);
    }
  }

  /// Adds what c brings through the keys before the chunk, and divides.
  struct StoreGrad {
    Acc* grad;
    std::int64_t stride;
    const Acc* z;        ///< null without normalising
    const Acc* c_gated;  ///< [kChunk] c * gate
    const Acc* denominators;
    const Acc* reciprocals;

    ATTNLAB_INLINE void operator()(const Place& place, V sum) const {
      const std::int64_t d = place.vector() * V::kSize;
      if (z != nullptr) {
        sum = fma(V::load(z + d), V(c_gated[place.row]), sum);
        sum = divide(sum, denominators[place.row], reciprocals[place.row]);
      }
      sum.store(grad + place.row * stride + d);
    }
  };

  void compute_grad(std::int64_t head, std::int64_t t) {
    const Gates<Acc>& gates = scratch_.gates;
    StoreGrad store{scratch_.grad,       dim_, nullptr, scratch_.c, scratch_.denominators,
                    scratch_.reciprocals};
    if (options_.normalize) {
      invert(scratch_.denominators, 0, scratch_.reciprocals);
      store.z = scratch_.state.row();
      for (std::int64_t i = 0; i < kChunk; i += V::kSize) {
        (V::load(scratch_.c + i) * V::load(gates.from_before + i)).store(scratch_.c + i);
      }
    }
    Ahead ahead = side_by_side(this->ahead(args_.q, head, t + kChunk),
                               this->ahead(args_.grad_out, head, t + kChunk));
    const ChunkOperands<Acc> op{
        .side = Triangle::kLower,
        .pairs = {scratch_.pairs, kChunk, scratch_.k, dim_, kChunk},
        .state = {this->gated(scratch_.g, gates.from_before, dim_v_, scratch_.g_gated), dim_v_,
                  scratch_.state.total(), kPanels, dim_v_},
        .ahead = &ahead};
    chunk_product<Acc, ALayout::kRows>(kChunk, dim_ / V::kSize, op,
                                       !chunk_is_finite(scratch_.k, dim_), store);
  }

  /// Queries with a denominator of 0 have the gradient 0.
  void clear_undefined(std::int64_t count) {
    for (std::int64_t i = 0; options_.normalize && i < count; ++i) {
      if (scratch_.denominators[i] == Acc(0)) fill_zero(scratch_.grad + i * dim_, dim_);
    }
  }
};

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
