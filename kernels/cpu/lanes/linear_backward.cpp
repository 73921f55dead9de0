// Backward linear attention in chunks. With G = dO / denominator and c = -(G . O), the gradient of
// the denominator (0 without normalising), and gates D:
//   d phi(q_i) = sum_{j <= i} D_ij (G_i . v_j + c_i) phi(k_j)
//   d phi(k_j) = sum_{i >= j} D_ij (G_i . v_j + c_i) phi(q_i)
//   dv_j = sum_{i >= j} D_ij (phi(k_j) . phi(q_i)) G_i
// G . v + c = G . (v - o) is small where the values have a common mean; so that it is not the
// difference of two long sums, values and outputs are taken relative to a center: in the sweep
// forward the mean of the values so far, in the sweep backward that of all.
// The first is a sweep forward in time with the state of the forward pass, the other two a sweep
// backward with the state R = sum D q G^T. The gradient of log_decay needs no further products:
// d log_decay_u = sum_{t >= u} phi(q_t) . d phi(q_t) - phi(k_t) . d phi(k_t)  (Yang et al. 2023,
// GLA, arXiv 2312.06635, section 4 and appendix C).
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/lanes/kernels.h"
#include "kernels/cpu/lanes/linear_backward_scratch.h"
#include "kernels/cpu/lanes/linear_common.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace {

template <class T>
class LinearBackwardGroup {
  using Acc = Accumulator<T>;
  using V = Lanes<Acc>;

 public:
  LinearBackwardGroup(const LinearAttentionBackwardArgs& args, LinearBackwardScratch<Acc>& scratch,
                      std::int64_t batch_idx, std::int64_t kv_head)
      : args_(args),
        options_(args.options),
        shape_(args.shape),
        scratch_(scratch),
        batch_idx_(batch_idx),
        kv_head_(kv_head),
        group_(shape_.heads / shape_.kv_heads),
        dim_(padded_dim(shape_.head_dim)),
        dim_v_(padded_dim(shape_.head_dim_v)),
        vectors_(vectors_for<Acc>(shape_.head_dim)),
        vectors_v_(vectors_for<Acc>(shape_.head_dim_v)) {}

  void run_causal() {
    for (std::int64_t member = 0; member < group_; ++member) sweep_forward(member);
    sweep_backward();
  }

  /// Every query sees the state of the last key: three passes without triangles.
  void run_full() {
    clear_forward_state();
    clear_center();
    for (std::int64_t t = 0; options_.normalize && t < shape_.seqlen_k; t += kChunk) {
      load_keys(t, lesser(kChunk, shape_.seqlen_k - t));
    }
    if (options_.normalize) move_center(shape_.seqlen_k);
    for (std::int64_t t = 0; t < shape_.seqlen_k; t += kChunk) {
      const std::int64_t count = lesser(kChunk, shape_.seqlen_k - t);
      load_keys(t, count);
      for (std::int64_t i = 0; i < count; ++i) {
        decay_and_add(scratch_.denominators.z, Acc(1), scratch_.k + i * dim_, Acc(1), dim_);
      }
      add_to_forward_state(scratch_.k, count);
    }
    ReverseState<Acc> reverse = scratch_.reverse_state(shape_, 0);
    clear(reverse);
    for (std::int64_t member = 0; member < group_; ++member) full_queries(member, reverse);
    load_transposed(reverse.r, dim_v_, shape_.head_dim, shape_.head_dim_v, Acc(1),
                    reverse.r_transposed, dim_);
    for (std::int64_t t = 0; t < shape_.seqlen_k; t += kChunk) {
      const std::int64_t count = lesser(kChunk, shape_.seqlen_k - t);
      load_keys(t, count);
      product(scratch_.k, dim_, shape_.head_dim, reverse.r, dim_v_, vectors_v_, count,
              scratch_.grad_v);
      product(scratch_.v, dim_v_, shape_.head_dim_v, reverse.r_transposed, dim_, vectors_, count,
              scratch_.grad_k);
      for (std::int64_t i = 0; i < count; ++i) {
        decay_and_add(scratch_.grad_k + i * dim_, Acc(1), reverse.c_sum, Acc(1), dim_);
      }
      store_key_grads(t, count);
    }
  }

 private:
  std::int64_t head_of(std::int64_t member) const { return kv_head_ * group_ + member; }

  void clear_forward_state() {
    fill_zero(scratch_.state, shape_.head_dim_v * dim_);
    fill_zero(scratch_.denominators.z, dim_);
  }

  void clear(const ReverseState<Acc>& reverse) {
    fill_zero(reverse.r, shape_.head_dim * dim_v_);
    fill_zero(reverse.r_transposed, shape_.head_dim_v * dim_);
    fill_zero(reverse.c_sum, dim_);
  }

  void load_keys(std::int64_t begin, std::int64_t count) {
    const auto k = args_.k.as<const T>();
    const auto v = args_.v.as<const T>();
    map_rows(options_.feature_map, k.row(batch_idx_, kv_head_, begin), k.strides[2], count,
             shape_.head_dim, scratch_.k, dim_);
    load_rows(v.row(batch_idx_, kv_head_, begin), v.strides[2], count, shape_.head_dim_v,
              scratch_.v, dim_v_);
    if (!options_.normalize) return;
    for (std::int64_t i = 0; i < count; ++i) {
      decay_and_add(scratch_.value_sum, Acc(1), scratch_.v + i * dim_v_, Acc(1), dim_v_);
      decay_and_add(scratch_.v + i * dim_v_, Acc(1), scratch_.center, Acc(-1), dim_v_);
    }
  }

  void clear_center() {
    fill_zero(scratch_.value_sum, dim_v_);
    fill_zero(scratch_.center, dim_v_);
  }

  /// The center becomes the mean of the `count` values so far.
  void move_center(std::int64_t count) {
    const V factor(Acc(1) / static_cast<Acc>(count));
    for (std::int64_t c = 0; c < dim_v_; c += V::kSize) {
      (V::load(scratch_.value_sum + c) * factor).store(scratch_.center + c);
    }
  }

  /// The same in the sweep forward: the state follows, by the sum of its keys for each value.
  void move_center_and_state(std::int64_t count) {
    if (!options_.normalize || count == 0) return;
    for (std::int64_t e = 0; e < shape_.head_dim_v; ++e) {
      const Acc shift =
          scratch_.center[e] - scratch_.value_sum[e] * (Acc(1) / static_cast<Acc>(count));
      decay_and_add(scratch_.state + e * dim_, Acc(1), scratch_.denominators.z, shift, dim_);
    }
    move_center(count);
  }

  void load_queries(std::int64_t member, std::int64_t begin, std::int64_t count) {
    const auto q = args_.q.as<const T>();
    map_rows(options_.feature_map, q.row(batch_idx_, head_of(member), begin), q.strides[2], count,
             shape_.head_dim, scratch_.q, dim_);
  }

  /// G of the token; 0 for a denominator of 0.
  void load_g(std::int64_t member, std::int64_t token, std::int64_t i, Acc denominator) {
    const auto grad_out = args_.grad_out.as<const T>();
    Acc* g = scratch_.g + i * dim_v_;
    if (denominator == Acc(0)) {
      fill_zero(g, dim_v_);
      return;
    }
    load_rows(grad_out.row(batch_idx_, head_of(member), token), 0, 1, shape_.head_dim_v, g, dim_v_);
    if (options_.normalize) divide_row(g, denominator, dim_v_);
  }

  /// c = -(G . (O - center)) of the loaded chunk, summed in the order of G . v: for a token that
  /// sees mostly itself O is close to v, and what is left of G . v + c must not be rounding.
  /// `transposed` holds G transposed.
  void compute_c(std::int64_t member, std::int64_t begin, std::int64_t count) {
    if (!options_.normalize) {
      fill_zero(scratch_.c, kChunk);
      return;
    }
    const auto out = args_.out.as<const T>();
    load_transposed(out.row(batch_idx_, head_of(member), begin), out.strides[2], count,
                    shape_.head_dim_v, Acc(1), scratch_.out_columns, kChunk);
    for (std::int64_t e = 0; e < shape_.head_dim_v; ++e) {
      for (std::int64_t i = 0; i < kChunk; i += V::kSize) {
        Acc* at = scratch_.out_columns + e * kChunk + i;
        (V::load(at) - V(scratch_.center[e])).store(at);
      }
    }
    column_dots(scratch_.out_columns, scratch_.transposed, shape_.head_dim_v, scratch_.c);
    for (std::int64_t i = 0; i < kChunk; ++i) scratch_.c[i] = i < count ? -scratch_.c[i] : Acc(0);
  }

  /// What the scores of a chunk are shifted by: c, or nothing.
  const Acc* shift() const { return options_.normalize ? scratch_.c : nullptr; }

  /// c = a * b, rows of a tile against a state.
  void product(const Acc* a, std::int64_t lda, std::int64_t depth, const Acc* b, std::int64_t ldb,
               std::int64_t vectors, std::int64_t count, Acc* c) {
    gemm<Acc, Init::kZero, ALayout::kRows>(vectors, 0, count, depth, {a, lda, b, ldb, c, ldb});
  }

  void add_to_forward_state(const Acc* k, std::int64_t count) {
    gemm<Acc, Init::kAdd, ALayout::kColumns>(vectors_, 0, shape_.head_dim_v, count,
                                             {scratch_.v, dim_v_, k, dim_, scratch_.state, dim_});
  }

  void copy_gated(const Acc* from, const Acc* gate, std::int64_t count, std::int64_t stride,
                  Acc* to) {
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t c = 0; c < stride; c += V::kSize) {
        (V::load(from + i * stride + c) * V(gate[i])).store(to + i * stride + c);
      }
    }
  }

  static void copy_row(const Acc* from, Acc* to, std::int64_t columns) {
    for (std::int64_t c = 0; c < columns; c += V::kSize) V::load(from + c).store(to + c);
  }

  void sweep_forward(std::int64_t member) {
    const Gates<Acc>& gates = scratch_.gates;
    clear_forward_state();
    clear_center();
    for (std::int64_t t = 0; t < shape_.seqlen_q; t += kChunk) {
      const std::int64_t count = lesser(kChunk, shape_.seqlen_q - t);
      move_center_and_state(t);
      load_keys(t, count);
      load_queries(member, t, count);
      scratch_.gates.compute(options_, batch_idx_, head_of(member), t, count, true);
      copy_row(scratch_.denominators.z, scratch_.z_before, dim_);
      scratch_.denominators.advance(scratch_.q, scratch_.k, count, shape_.head_dim, gates);
      for (std::int64_t i = 0; i < count; ++i) {
        const Acc denominator = options_.normalize ? scratch_.denominators.values[i] : Acc(1);
        load_g(member, t + i, i, denominator);
        scratch_.token_denominator[member * shape_.seqlen_q + t + i] = denominator;
      }
      load_transposed(scratch_.g, dim_v_, count, shape_.head_dim_v, Acc(1), scratch_.transposed,
                      kChunk);
      compute_c(member, t, count);
      for (std::int64_t i = 0; i < count; ++i) {
        for (std::int64_t d = 0; d < dim_; d += V::kSize) {
          const V start = options_.normalize ? V::load(scratch_.z_before + d) *
                                                   V(scratch_.c[i] * gates.from_before[i])
                                             : V(0.0);
          start.store(scratch_.grad + i * dim_ + d);
        }
      }
      load_transposed(scratch_.v, dim_v_, count, shape_.head_dim_v, Acc(1), scratch_.transposed,
                      kChunk);
      triangle_scores(true, count, shape_.head_dim_v, scratch_.g, dim_v_, scratch_.transposed,
                      gates, shift(), scratch_.scores);
      triangle_product(true, count, vectors_, scratch_.scores, scratch_.k, dim_, scratch_.grad,
                       dim_);
      const Acc* g = gated(scratch_.g, gates.from_before, count, dim_v_, scratch_.g_gated);
      gemm<Acc, Init::kAdd, ALayout::kRows>(vectors_, 0, count, shape_.head_dim_v,
                                            {g, dim_v_, scratch_.state, dim_, scratch_.grad, dim_});
      store_query_grads(member, t, count, scratch_.token_q_grad + member * shape_.seqlen_q + t);
      if (gates.active) scale_row(scratch_.state, gates.whole, shape_.head_dim_v * dim_);
      add_to_forward_state(gated(scratch_.k, gates.to_end, count, dim_, scratch_.k_gated), count);
    }
  }

  /// rows * gate, in `buffer`; the rows themselves where there is no decay.
  const Acc* gated(const Acc* rows, const Acc* gate, std::int64_t count, std::int64_t stride,
                   Acc* buffer) {
    if (!scratch_.gates.active) return rows;
    copy_gated(rows, gate, count, stride, buffer);
    return buffer;
  }

  void store_query_grads(std::int64_t member, std::int64_t begin, std::int64_t count,
                         Acc* feature_dots) {
    if (feature_dots != nullptr) {
      for (std::int64_t i = 0; i < count; ++i) {
        feature_dots[i] = dot_rows(scratch_.q + i * dim_, scratch_.grad + i * dim_, dim_);
      }
    }
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

  /// The heads of the group side by side, chunk by chunk, so that sums over heads stay in scratch.
  void sweep_backward() {
    for (std::int64_t m = 0; m < group_; ++m) clear(scratch_.reverse_state(shape_, m));
    if (options_.normalize) move_center(shape_.seqlen_k);
    const std::int64_t chunks = (shape_.seqlen_k + kChunk - 1) / kChunk;
    for (std::int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
      const std::int64_t t = chunk * kChunk;
      const std::int64_t count = lesser(kChunk, shape_.seqlen_k - t);
      load_keys(t, count);
      fill_zero(scratch_.grad_k, count * dim_);
      fill_zero(scratch_.grad_v, count * dim_v_);
      for (std::int64_t member = 0; member < group_; ++member) reverse_chunk(member, t, count);
      store_key_grads(t, count);
    }
  }

  void reverse_chunk(std::int64_t member, std::int64_t t, std::int64_t count) {
    const ReverseState<Acc> reverse = scratch_.reverse_state(shape_, member);
    Gates<Acc>& gates = scratch_.gates;
    gates.compute(options_, batch_idx_, head_of(member), t, count, false);
    load_queries(member, t, count);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t token = member * shape_.seqlen_q + t + i;
      load_g(member, t + i, i, scratch_.token_denominator[token]);
    }
    // dv = mask(K Q^T) G + K R
    load_transposed(scratch_.q, dim_, count, shape_.head_dim, Acc(1), scratch_.transposed, kChunk);
    triangle_scores(false, count, shape_.head_dim, scratch_.k, dim_, scratch_.transposed, gates,
                    static_cast<const Acc*>(nullptr), scratch_.scores);
    triangle_product(false, count, vectors_v_, scratch_.scores, scratch_.g, dim_v_, scratch_.grad_v,
                     dim_v_);
    const Acc* k = gated(scratch_.k, gates.to_end, count, dim_, scratch_.k_gated);
    gemm<Acc, Init::kAdd, ALayout::kRows>(vectors_v_, 0, count, shape_.head_dim,
                                          {k, dim_, reverse.r, dim_v_, scratch_.grad_v, dim_v_});
    // d phi(k) = mask(V G^T + c) Q + V R^T + sum of later c q
    load_transposed(scratch_.g, dim_v_, count, shape_.head_dim_v, Acc(1), scratch_.transposed,
                    kChunk);
    compute_c(member, t, count);
    triangle_scores(false, count, shape_.head_dim_v, scratch_.v, dim_v_, scratch_.transposed, gates,
                    shift(), scratch_.scores);
    const Acc* v = gated(scratch_.v, gates.to_end, count, dim_v_, scratch_.v_gated);
    product(v, dim_v_, shape_.head_dim_v, reverse.r_transposed, dim_, vectors_, count,
            scratch_.grad);
    triangle_product(false, count, vectors_, scratch_.scores, scratch_.q, dim_, scratch_.grad,
                     dim_);
    add_later_c(count, reverse);
    write_decay_grad(member, t, count);
    // R = R * decay of the chunk + Q G^T
    if (gates.active) scale_row(reverse.r, gates.whole, shape_.head_dim * dim_v_);
    const Acc* q = gated(scratch_.q, gates.from_before, count, dim_, scratch_.q_gated);
    gemm<Acc, Init::kAdd, ALayout::kColumns>(vectors_v_, 0, shape_.head_dim, count,
                                             {q, dim_, scratch_.g, dim_v_, reverse.r, dim_v_});
    load_transposed(reverse.r, dim_v_, shape_.head_dim, shape_.head_dim_v, Acc(1),
                    reverse.r_transposed, dim_);
  }

  /// Adds what later chunks contribute through c, then takes this chunk's own into c_sum, which is
  /// kept as seen from the end of the chunk before.
  void add_later_c(std::int64_t count, const ReverseState<Acc>& reverse) {
    const Gates<Acc>& gates = scratch_.gates;
    for (std::int64_t i = 0; i < count; ++i) {
      Acc* grad = scratch_.grad + i * dim_;
      if (options_.normalize) {
        decay_and_add(grad, Acc(1), reverse.c_sum, gates.to_end[i], dim_);
      }
      decay_and_add(scratch_.grad_k + i * dim_, Acc(1), grad, Acc(1), dim_);
    }
    if (!options_.normalize) return;
    scale_row(reverse.c_sum, gates.whole, dim_);
    for (std::int64_t i = 0; i < count; ++i) {
      decay_and_add(reverse.c_sum, Acc(1), scratch_.q + i * dim_,
                    scratch_.c[i] * gates.from_before[i], dim_);
    }
  }

  void write_decay_grad(std::int64_t member, std::int64_t t, std::int64_t count) {
    if (args_.grad_log_decay.data == nullptr) return;
    const auto grad = args_.grad_log_decay.as<float>();
    const std::int64_t head = head_of(member);
    // Differences first; the suffix sum runs in double over the whole sequence at the end.
    Acc* dots = scratch_.token_q_grad + member * shape_.seqlen_q + t;
    for (std::int64_t i = 0; i < count; ++i) {
      dots[i] -= dot_rows(scratch_.k + i * dim_, scratch_.grad + i * dim_, dim_);
    }
    if (t != 0) return;
    double sum = 0.0;
    for (std::int64_t i = shape_.seqlen_q - 1; i >= 0; --i) {
      sum += static_cast<double>(dots[i]);
      *grad.row(batch_idx_, head, i) = static_cast<float>(sum);
    }
  }

  void full_queries(std::int64_t member, const ReverseState<Acc>& reverse) {
    for (std::int64_t t = 0; t < shape_.seqlen_q; t += kChunk) {
      const std::int64_t count = lesser(kChunk, shape_.seqlen_q - t);
      load_queries(member, t, count);
      for (std::int64_t i = 0; i < count; ++i) {
        const Acc denominator = options_.normalize
                                    ? dot_rows(scratch_.q + i * dim_, scratch_.denominators.z, dim_)
                                    : Acc(1);
        load_g(member, t + i, i, denominator);
      }
      load_transposed(scratch_.g, dim_v_, count, shape_.head_dim_v, Acc(1), scratch_.transposed,
                      kChunk);
      compute_c(member, t, count);
      product(scratch_.g, dim_v_, shape_.head_dim_v, scratch_.state, dim_, vectors_, count,
              scratch_.grad);
      for (std::int64_t i = 0; i < count; ++i) {
        if (!options_.normalize) break;
        decay_and_add(scratch_.grad + i * dim_, Acc(1), scratch_.denominators.z, scratch_.c[i],
                      dim_);
        decay_and_add(reverse.c_sum, Acc(1), scratch_.q + i * dim_, scratch_.c[i], dim_);
      }
      store_query_grads(member, t, count, nullptr);
      gemm<Acc, Init::kAdd, ALayout::kColumns>(
          vectors_v_, 0, shape_.head_dim, count,
          {scratch_.q, dim_, scratch_.g, dim_v_, reverse.r, dim_v_});
    }
  }

  const LinearAttentionBackwardArgs& args_;
  const LinearOptions& options_;
  const AttentionShape& shape_;
  LinearBackwardScratch<Acc>& scratch_;
  const std::int64_t batch_idx_, kv_head_, group_, dim_, dim_v_, vectors_, vectors_v_;
};

template <class T>
void run_tasks(const Job<LinearAttentionBackwardArgs>& job) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = job.args->shape;
  const bool causal = job.args->options.causal;
  Arena arena(job.scratch);
  LinearBackwardScratch<Acc> scratch(arena, shape, causal);
  for (std::int64_t task = job.queue->next(); task >= 0; task = job.queue->next()) {
    const HeadTask keys = kv_head_task(shape, task);
    LinearBackwardGroup<T> group(*job.args, scratch, keys.batch_idx, keys.kv_head);
    if (causal) {
      group.run_causal();
    } else {
      group.run_full();
    }
  }
}

}  // namespace

Partition linear_backward_partition(const AttentionShape& shape, bool causal) {
  Arena arena;
  if (shape.dtype == DType::kFloat64) {
    LinearBackwardScratch<double>(arena, shape, causal);
  } else {
    LinearBackwardScratch<float>(arena, shape, causal);
  }
  return {shape.batch * shape.kv_heads, arena.used_bytes(), 0};
}

void linear_backward(const Job<LinearAttentionBackwardArgs>& job) {
  dispatch_dtype(job.args->shape.dtype,
                 [&](auto type) { run_tasks<typename decltype(type)::type>(job); });
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
