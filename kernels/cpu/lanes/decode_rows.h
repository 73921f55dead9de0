// Rows of a key or value cache, read as they lie: one vector register of stored bytes ("piece") at
// a time, in ascending address order, widened in registers.
//
// Elements of a widened piece keep an order of their own where that saves instructions: a piece of
// bfloat16 falls into its even and its odd elements with a shift and a mask. Queries are brought
// into this order once, outputs out of it once.
#pragma once

#include "kernels/core/dispatch.h"
#include "kernels/cpu/lanes/simd.h"
#include "kernels/cpu/lanes/tile.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

typedef std::uint8_t ByteLanes __attribute__((vector_size(kVectorBytes)));

/// `count` bytes, the others 0; reads nothing beyond.
ATTNLAB_INLINE ByteLanes load_bytes(const void* p, std::int64_t count) {
#if defined(__AVX512F__)
  const __mmask64 mask = count >= 64 ? ~0ull : (1ull << count) - 1;
  return std::bit_cast<ByteLanes>(_mm512_maskz_loadu_epi8(mask, p));
#else
  ByteLanes bytes{};
  if (count >= kVectorBytes) {
    std::memcpy(&bytes, p, kVectorBytes);
  } else {
    std::memcpy(&bytes, p, static_cast<std::size_t>(count));
  }
  return bytes;
#endif
}

/// How rows of T are cut.
template <class T>
struct Piece {
  using Acc = Accumulator<T>;
  using V = Lanes<Acc>;
  static constexpr int kParts = sizeof(Acc) / sizeof(T);  ///< vectors of a widened piece
  static constexpr int kElements = kParts * V::kSize;

  V parts[kParts];

  static constexpr std::int64_t count(std::int64_t dim) {
    return (dim + kElements - 1) / kElements;
  }

  /// Length of a row of widened pieces.
  static constexpr std::int64_t padded(std::int64_t dim) { return count(dim) * kElements; }

  /// Where element `i` of a row stands in a row of widened pieces.
  static constexpr std::int64_t position(std::int64_t i) {
    if constexpr (!std::is_same_v<T, bfloat16>) return i;
    const std::int64_t in_piece = i % kElements;
    return i - in_piece + in_piece % 2 * V::kSize + in_piece / 2;
  }

  ATTNLAB_INLINE void load(const T* p) {
    ByteLanes bytes;
    std::memcpy(&bytes, p, kVectorBytes);
    widen(bytes);
  }

  /// The first `elements` ones of the piece, the others 0.
  ATTNLAB_INLINE void load_some(const T* p, std::int64_t elements) {
    widen(load_bytes(p, elements * static_cast<std::int64_t>(sizeof(T))));
  }

 private:
  ATTNLAB_INLINE void widen(ByteLanes bytes) {
    if constexpr (std::is_same_v<T, bfloat16>) {
      const auto bits = std::bit_cast<U32Lanes>(bytes);
      parts[0] = V(std::bit_cast<typename V::Raw>(bits << 16));
      parts[1] = V(std::bit_cast<typename V::Raw>(bits & 0xffff0000u));
    } else if constexpr (std::is_same_v<T, float16>) {
      float16 halves[kElements];
      std::memcpy(halves, &bytes, kVectorBytes);
      parts[0] = ATTNLAB_ISA_NAMESPACE::load(halves);
      parts[1] = ATTNLAB_ISA_NAMESPACE::load(halves + V::kSize);
    } else {
      parts[0] = V(std::bit_cast<typename V::Raw>(bytes));
    }
  }
};

/// Rows of keys or values of one head.
template <class T>
struct CacheRows {
  const T* data;
  std::int64_t stride;
  std::int64_t dim;
  std::int64_t
      ahead;  ///< prefetch so many rows before they are read; 0 where they are in the cache

  /// Rows that come from memory.
  static CacheRows streamed(const T* data, std::int64_t stride, std::int64_t dim) {
    // 1, 2 and 4 KiB ahead read float32 at 94, 96 and 90 % of the rate of a plain loop, bfloat16 at
    // 79, 82 and 74; the hardware's prefetch alone at 87 and 75 (head_dim 128, Xeon, one core).
    constexpr std::int64_t kBytesAhead = 2048;
    return {data, stride, dim, greater(1, kBytesAhead / (dim * std::int64_t{sizeof(T)}))};
  }

  /// Fetches `bytes` of the row that is `ahead` rows after the one at `row`, from `row` on.
  ATTNLAB_INLINE void prefetch(const T* row, std::int64_t bytes) const {
    if (ahead == 0) return;
    const auto* const line = reinterpret_cast<const char*>(row + ahead * stride);
    for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(line + i);
  }
};

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
