// The elementwise part of the bfloat16 backward kernel: scores become weights and their gradients,
// rounded and laid out for the products that follow.
#pragma once

#include "kernels/cpu/pairs/flash_backward_scratch.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// A vector of queries: the one that begins `lane` queries after `q_begin`.
struct QueryLanes {
  std::int64_t q_begin, lane;
};

/// P = exp(s - lse) and dS = P * (dO V^T - delta) * score' of one key and 16 queries, whose score
/// and dO V^T are at `offset` of the tiles. Pairs that the mask hides, and keys from `key_end` on,
/// get 0 even where the operands hold NaN.
template <bool kPartial, class Score>
ATTNLAB_INLINE void differentiate_vector(const BackwardScratch& scratch, const Mask& mask,
                                         const Score& score, float factor, std::int64_t key,
                                         std::int64_t key_end, QueryLanes queries,
                                         std::int64_t offset, Lanes<float>& weight,
                                         Lanes<float>& grad) {
  using V = Lanes<float>;
  V dot = V::load(scratch.scores + offset);
  V slope(1.0);
  const V lse = V::load(scratch.lse + queries.lane);
  if constexpr (Score::kIsIdentity) {
    dot = fma(dot, V(factor), V(0.0) - lse);
  } else {
    dot = dot * V(factor);
    slope = score.derivative(dot);
    const std::int64_t diagonal = mask.diagonal(queries.q_begin + queries.lane);
    const V distance = abs(positions<float>(diagonal) - V(static_cast<float>(key)));
    dot = score.score(dot, distance) * V(kLog2E) - lse;
  }
  weight = exp2_weight(dot);
  grad = weight * (V::load(scratch.grad_weights + offset) - V::load(scratch.delta + queries.lane));
  if constexpr (!Score::kIsIdentity) grad = grad * slope;
  if constexpr (kPartial) {
    const IndexRange seen = key < key_end ? queries_seeing(mask, key, key + 1) : IndexRange{0, 0};
    const std::int64_t first = queries.q_begin + queries.lane;
    const auto visible = lane_range<float>(seen.begin - first, seen.end - first);
    weight = select(visible, weight, V(0.0));
    grad = select(visible, grad, V(0.0));
  }
}

/// The same for kRowBlock keys, from row `i` of the key tile, and the queries `columns` of a block
/// that begins at `q_begin`: P and dS as rows of bfloat16, and dS once more with the rows of two
/// keys interleaved.
template <bool kPartial, class Score>
inline void differentiate(const BackwardScratch& scratch, const Mask& mask, const Score& score,
                          std::int64_t i, IndexRange keys, std::int64_t q_begin,
                          IndexRange columns) {
  using V = Lanes<float>;
  const float factor = magnitude_of_scale(score);
  const std::int64_t panel_stride = scratch.tile_keys / 2 * kPanelColumns;
  for (std::int64_t r = 0; r < kRowBlock; r += 2) {
    for (std::int64_t c = columns.begin; c < columns.end; c += 32) {
      const std::int64_t at = c - columns.begin;
      __m512i rounded[2];
      for (int row = 0; row < 2; ++row) {
        V weight[2], grad[2];
        for (int half = 0; half < 2; ++half) {
          const std::int64_t offset = (r + row) * kBlockQueries + at + half * V::kSize;
          differentiate_vector<kPartial>(scratch, mask, score, factor, keys.begin + r + row,
                                         keys.end, {q_begin, c + half * V::kSize}, offset,
                                         weight[half], grad[half]);
        }
        store_rounded(scratch.weights() + (r + row) * kWeightsStride + at, weight[0], weight[1]);
        rounded[row] = __builtin_bit_cast(__m512i, _mm512_cvtne2ps_pbh(grad[1].raw, grad[0].raw));
        _mm512_storeu_si512(scratch.grad_s() + (r + row) * kWeightsStride + at, rounded[row]);
      }
      std::uint32_t* even =
          scratch.grad_s_pairs + c / kPanelColumns * panel_stride + (i + r) / 2 * kPanelColumns;
      store_split_pairs(rounded[0], rounded[1], even, even + panel_stride);
    }
  }
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
