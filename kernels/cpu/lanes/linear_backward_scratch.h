// Memory of the backward linear attention kernel: what one worker needs, laid out in its arena.
#pragma once

#include "kernels/cpu/lanes/linear_gates.h"
#include "kernels/cpu/lanes/linear_state.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// What the sweep forward leaves for the sweep backward, of one head.
template <class Acc>
struct TokenSums {
  Acc* earlier_weight;  ///< [seqlen_q] phi(q_i) . sum of D phi(k_j) over j < i: the denominator but
                        ///< for the token itself
  Acc* feature_dots;    ///< [seqlen_q] phi(q) . d phi(q)
};

/// One worker's memory; D and E are the padded head_dim and head_dim_v.
template <class Acc>
struct LinearBackwardScratch {
  std::int64_t dim, dim_v;
  Acc* q;                ///< [kChunk][D] features
  Acc* q_gated;          ///< [kChunk][D]
  Acc* k;                ///< [kChunk][D] features
  Acc* k_gated;          ///< [kChunk][D]
  Acc* v;                ///< [kChunk][E] relative to the center
  Acc* v_gated;          ///< [kChunk][E]
  Acc* g;                ///< [kChunk][E] dO (sweep forward) or G (sweep backward)
  Acc* g_gated;          ///< [kChunk][E]
  Acc* transposed;       ///< [max(D, E)][kChunk]
  Acc* out;              ///< [kChunk][E] O relative to the center
  Acc* out_columns;      ///< [E][kChunk] its transpose
  Acc* pairs;            ///< [kChunk][kChunk]
  Acc* grad;             ///< [kChunk][D]
  Acc* grad_k;           ///< [kChunk][D] sum over the heads of the group
  Acc* grad_v;           ///< [kChunk][E]
  Acc* c;                ///< [kChunk]
  Acc* row_sum;          ///< [D] of a chunk
  Acc* z_rows;           ///< [2][D] sums of keys inside a chunk
  Acc* earlier_weights;  ///< [kChunk]
  Acc* denominators;     ///< [kChunk]
  Acc* reciprocals;      ///< [kChunk]
  Acc* value_sum;        ///< [E] of the segment
  Acc* segment_values;   ///< [segments][E] its sums
  Acc* center;           ///< [E]
  Acc* r_transposed;     ///< [E][D] in panels
  Gates<Acc> gates;
  SegmentedState<Acc> state;  ///< forward in time: v k^T [E][D], and z [D]
  Acc* sums;                  ///< [group] of TokenSums (causal)
  Acc* reverse;               ///< [group] of SegmentedState (not causal: one for all heads)

  /// `own_tokens`: with room for what sweeps leave for each other.
  LinearBackwardScratch(Arena& arena, const AttentionShape& shape, bool causal, bool own_tokens)
      : dim(padded_dim(shape.head_dim)),
        dim_v(padded_dim(shape.head_dim_v)),
        q(arena.take<Acc>(kChunk * dim)),
        q_gated(arena.take<Acc>(kChunk * dim)),
        k(arena.take<Acc>(kChunk * dim)),
        k_gated(arena.take<Acc>(kChunk * dim)),
        v(arena.take<Acc>(kChunk * dim_v)),
        v_gated(arena.take<Acc>(kChunk * dim_v)),
        g(arena.take<Acc>(kChunk * dim_v)),
        g_gated(arena.take<Acc>(kChunk * dim_v)),
        transposed(arena.take<Acc>(kChunk * greater(dim, dim_v))),
        out(arena.take<Acc>(kChunk * dim_v)),
        out_columns(arena.take<Acc>(kChunk * dim_v)),
        pairs(arena.take<Acc>(kChunk * kChunk)),
        grad(arena.take<Acc>(kChunk * dim)),
        grad_k(arena.take<Acc>(kChunk * dim)),
        grad_v(arena.take<Acc>(kChunk * dim_v)),
        c(arena.take<Acc>(kChunk)),
        row_sum(arena.take<Acc>(dim)),
        z_rows(arena.take<Acc>(2 * dim)),
        earlier_weights(arena.take<Acc>(kChunk)),
        denominators(arena.take<Acc>(kChunk)),
        reciprocals(arena.take<Acc>(kChunk)),
        value_sum(arena.take<Acc>(dim_v)),
        segment_values(arena.take<Acc>(own_tokens ? num_segments(shape.seqlen_k) * dim_v : 0)),
        center(arena.take<Acc>(dim_v)),
        r_transposed(arena.take<Acc>(dim * dim_v)),
        gates(arena),
        state({dim_v, dim, dim},
              arena.take<Acc>(SegmentedState<Acc>::buffer_size({dim_v, dim, dim}))),
        sums(arena.take<Acc>(own_tokens ? 2 * shape.heads / shape.kv_heads * shape.seqlen_q : 0)),
        reverse(arena.take<Acc>((causal ? shape.heads / shape.kv_heads : 1) *
                                SegmentedState<Acc>::buffer_size({dim, dim_v, dim}))) {}
};

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
