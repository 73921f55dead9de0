// Memory of the backward linear attention kernel: what one worker needs, laid out in its arena.
#pragma once

#include "kernels/cpu/lanes/linear_common.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// State of one head in the sweep backward in time.
template <class Acc>
struct ReverseState {
  Acc* r;             ///< [head_dim][E] sum of D q G^T over later chunks
  Acc* r_transposed;  ///< [head_dim_v][D]
  Acc* c_sum;         ///< [D] sum of D c q over later tokens
};

/// One worker's memory; D and E are the padded head_dim and head_dim_v.
template <class Acc>
struct LinearBackwardScratch {
  Acc* q;                  ///< [kChunk][D] features
  Acc* q_gated;            ///< [kChunk][D]
  Acc* k;                  ///< [kChunk][D] features
  Acc* k_gated;            ///< [kChunk][D]
  Acc* v;                  ///< [kChunk][E]
  Acc* v_gated;            ///< [kChunk][E]
  Acc* g;                  ///< [kChunk][E] G
  Acc* g_gated;            ///< [kChunk][E]
  Acc* transposed;         ///< [max(head_dim, head_dim_v)][kChunk]
  Acc* out_columns;        ///< [head_dim_v][kChunk] O transposed
  Acc* scores;             ///< [kChunk][kChunk]
  Acc* state;              ///< [head_dim_v][D] sum of v k^T, forward in time
  Acc* z_before;           ///< [D] z at the end of the chunk before
  Acc* grad;               ///< [kChunk][D]
  Acc* grad_k;             ///< [kChunk][D] sum over the heads of the group
  Acc* grad_v;             ///< [kChunk][E]
  Acc* c;                  ///< [kChunk]
  Acc* value_sum;          ///< [E]
  Acc* center;             ///< [E]
  Acc* token_denominator;  ///< [group][seqlen_q], 1 without normalising (causal)
  Acc* token_q_grad;       ///< [group][seqlen_q] phi(q) . d phi(q) (causal)
  Gates<Acc> gates;
  Denominators<Acc> denominators;
  Acc* reverse;  ///< [group] of r, r_transposed, c_sum (not causal: one for all heads)

  LinearBackwardScratch(Arena& arena, const AttentionShape& shape, bool causal)
      : q(rows_of(arena, shape.head_dim)),
        q_gated(rows_of(arena, shape.head_dim)),
        k(rows_of(arena, shape.head_dim)),
        k_gated(rows_of(arena, shape.head_dim)),
        v(rows_of(arena, shape.head_dim_v)),
        v_gated(rows_of(arena, shape.head_dim_v)),
        g(rows_of(arena, shape.head_dim_v)),
        g_gated(rows_of(arena, shape.head_dim_v)),
        transposed(arena.take<Acc>(greater(shape.head_dim, shape.head_dim_v) * kChunk)),
        out_columns(arena.take<Acc>(shape.head_dim_v * kChunk)),
        scores(arena.take<Acc>(kChunk * kChunk)),
        state(arena.take<Acc>(shape.head_dim_v * padded_dim(shape.head_dim))),
        z_before(arena.take<Acc>(padded_dim(shape.head_dim))),
        grad(rows_of(arena, shape.head_dim)),
        grad_k(rows_of(arena, shape.head_dim)),
        grad_v(rows_of(arena, shape.head_dim_v)),
        c(arena.take<Acc>(kChunk)),
        value_sum(arena.take<Acc>(padded_dim(shape.head_dim_v))),
        center(arena.take<Acc>(padded_dim(shape.head_dim_v))),
        token_denominator(arena.take<Acc>(num_tokens(shape, causal))),
        token_q_grad(arena.take<Acc>(num_tokens(shape, causal))),
        gates(arena),
        denominators(arena, shape.head_dim),
        reverse(
            arena.take<Acc>((causal ? shape.heads / shape.kv_heads : 1) * reverse_size(shape))) {}

  static std::int64_t reverse_size(const AttentionShape& shape) {
    return shape.head_dim * padded_dim(shape.head_dim_v) +
           (shape.head_dim_v + 1) * padded_dim(shape.head_dim);
  }

  ReverseState<Acc> reverse_state(const AttentionShape& shape, std::int64_t member) const {
    Acc* r = reverse + member * reverse_size(shape);
    Acc* r_transposed = r + shape.head_dim * padded_dim(shape.head_dim_v);
    return {r, r_transposed, r_transposed + shape.head_dim_v * padded_dim(shape.head_dim)};
  }

 private:
  static Acc* rows_of(Arena& arena, std::int64_t dim) {
    return arena.take<Acc>(kChunk * padded_dim(dim));
  }
  static std::int64_t num_tokens(const AttentionShape& shape, bool causal) {
    return causal ? shape.heads / shape.kv_heads * shape.seqlen_q : 0;
  }
};

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
