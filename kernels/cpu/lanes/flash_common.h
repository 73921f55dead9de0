// What the forward and the backward attention kernel share.
#pragma once

#include <cmath>

#include "kernels/core/online_softmax.h"
#include "kernels/core/score.h"
#include "kernels/cpu/arena.h"
#include "kernels/cpu/lanes/gemm.h"
#include "kernels/cpu/lanes/simd_math.h"
#include "kernels/cpu/lanes/tile.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// Scores must reach exp2 in units of log2: folded into the scale where the policy allows.
template <class Score>
double operand_scale(const Score& score) {
  return Score::kIsIdentity ? score.scale * kLog2E : score.scale;
}

// Mask questions, inlined whole: an out-of-line copy of a member of Mask, compiled for this
// instruction set, could be picked by the linker for other machines. A test looks for such symbols.
#define ATTNLAB_FLATTEN [[gnu::flatten]] inline

ATTNLAB_FLATTEN IndexRange keys_seen(const Mask& mask, std::int64_t q_begin, std::int64_t q_end) {
  return mask.key_range(q_begin, q_end);
}
ATTNLAB_FLATTEN IndexRange queries_seeing(const Mask& mask, std::int64_t k_begin,
                                          std::int64_t k_end) {
  return mask.query_range(k_begin, k_end);
}
ATTNLAB_FLATTEN bool is_full(const Mask& mask, std::int64_t q_begin, std::int64_t q_end,
                             std::int64_t k_begin, std::int64_t k_end) {
  return mask.classify(q_begin, q_end, k_begin, k_end) == TileKind::kFull;
}

/// Positions as lanes: first, first + 1, ... (exact up to 2^24 in float).
template <class Acc>
ATTNLAB_INLINE Lanes<Acc> positions(std::int64_t first) {
  using V = Lanes<Acc>;
  const auto index = lane_indices<Acc>();
  return V(__builtin_convertvector(index, typename V::Raw)) + V(static_cast<Acc>(first));
}

/// c[row][lane] (times scale[vector], where given) += the sum over k of a[k * lda + row] *
/// b[k][lane] over the pairs (k, lane) with kept(k): the slow and safe way where a holds a NaN or
/// infinity that masked pairs must not meet. `kept` gives the range of lanes; b is 0 elsewhere.
/// Same bits as gemm where a is finite.
template <class Acc, class Kept>
inline void masked_product(std::int64_t rows, std::int64_t depth, const Acc* a, std::int64_t lda,
                           const Acc* b, Acc* c, const Lanes<Acc>* scale, const Kept& kept) {
  using V = Lanes<Acc>;
  constexpr std::int64_t kWidth = kTileLanes<Acc>;
  for (int v = 0; v < kTileVectors; ++v) {
    const std::int64_t first = v * V::kSize;
    for (std::int64_t r = 0; r < rows; ++r) {
      V sum(0.0);
      for (std::int64_t k = 0; k < depth; ++k) {
        const IndexRange lanes = kept(k);
        const auto mask = lane_range<Acc>(lanes.begin - first, lanes.end - first);
        sum = select(mask, fma(V(a[k * lda + r]), V::load(b + k * kWidth + first), sum), sum);
      }
      Acc* at = c + r * kWidth + first;
      const V old = V::load(at);
      (scale == nullptr ? sum + old : fma(old, scale[v], sum)).store(at);
    }
  }
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
