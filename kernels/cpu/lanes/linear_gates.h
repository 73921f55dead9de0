// Decay gates inside a chunk of linear attention.
#pragma once

#include "kernels/cpu/lanes/linear_common.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// Decay inside a chunk. With g_t = exp(log_decay_t): the gate of a pair (i, j), j <= i, is the
/// product of g over (j, i]. Products instead of differences of sums: a decay of 0 is no special
/// case. Tokens that fill up a ragged chunk do not decay.
template <class Acc>
struct Gates {
  bool active = false;
  Acc* step;         ///< [kChunk] g
  Acc* from_before;  ///< [kChunk] product over [0, i]: from the end of the chunk before to i
  Acc* to_end;       ///< [kChunk] product over (i, n)
  Acc* pairs;        ///< [kChunk][kChunk], row r column c: gate of the pair, 0 on the wrong side
  Acc whole = 1;     ///< product over the chunk

  explicit Gates(Arena& arena)
      : step(arena.take<Acc>(kChunk)),
        from_before(arena.take<Acc>(kChunk)),
        to_end(arena.take<Acc>(kChunk)),
        pairs(arena.take<Acc>(kChunk * kChunk)) {}

  /// pairs[i][j] for j <= i (kLower) or its transpose, pairs[j][i].
  void compute(const LinearOptions& options, std::int64_t batch_idx, std::int64_t head,
               std::int64_t begin, std::int64_t count, Triangle side) {
    if (options.log_decay == nullptr) {
      if (!known_.whole_chunk) reset();
      known_.whole_chunk = true;
      return;
    }
    const float* decay = options.log_decay + batch_idx * options.decay_batch_stride +
                         head * options.decay_head_stride;
    // One value per head: all whole chunks have the same gates.
    const Known now{options.decay_token_stride == 0 && count == kChunk, decay, side};
    if (now.whole_chunk && now == known_) return;
    known_ = now;
    active = true;
    for (std::int64_t i = 0; i < kChunk; ++i) {
      step[i] = i < count ? static_cast<Acc>(decay[(begin + i) * options.decay_token_stride]) : 0;
    }
    compute_products();
    side == Triangle::kLower ? compute_pairs<Triangle::kLower>()
                             : compute_pairs<Triangle::kUpper>();
  }

  /// The gates of all pairs, or null where there is no decay.
  const Acc* of_pairs() const { return active ? pairs : nullptr; }

 private:
  /// What the arrays hold.
  struct Known {
    bool whole_chunk = false;
    const float* decay = nullptr;
    Triangle side = Triangle::kNone;
    bool operator==(const Known&) const = default;
  };

  void reset() {
    for (std::int64_t i = 0; i < kChunk; ++i) step[i] = from_before[i] = to_end[i] = 1;
  }

  void compute_products() {
    using V = Lanes<Acc>;
    for (std::int64_t i = 0; i < kChunk; i += V::kSize) {
      exp2(V::load(step + i) * V(kLog2E)).store(step + i);
    }
    whole = 1;
    for (std::int64_t i = 0; i < kChunk; ++i) from_before[i] = whole = whole * step[i];
    Acc tail = 1;
    for (std::int64_t i = kChunk - 1; i >= 0; --i) {
      to_end[i] = tail;
      tail *= step[i];
    }
  }

  /// Row by row from the diagonal: each row is its neighbour times one step.
  template <Triangle kSide>
  void compute_pairs() {
    using V = Lanes<Acc>;
    constexpr int kVectors = kChunk / V::kSize;
    V row[kVectors];
    for (int v = 0; v < kVectors; ++v) row[v] = V(0.0);
    for (std::int64_t n = 0; n < kChunk; ++n) {
      const std::int64_t r = kSide == Triangle::kLower ? n : kChunk - 1 - n;
      const V factor(n == 0 ? Acc(0) : step[kSide == Triangle::kLower ? r : r + 1]);
      for (int v = 0; v < kVectors; ++v) {
        const std::int64_t c = v * V::kSize;
        row[v] = select(lane_range<Acc>(r - c, r - c + 1), V(1.0), row[v] * factor);
        row[v].store(pairs + r * kChunk + c);
      }
    }
  }

  Known known_;
};

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
