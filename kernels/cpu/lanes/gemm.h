// Small matrix products for tiles in scratch memory, and the only place where the FMA peak is made.
// C[rows][vectors] (+)= A[rows][depth] * B[depth][vectors]: elements of A are broadcast straight
// from memory, vectors of B and C lie in padded rows. A block of C stays in registers over the
// whole depth.
#pragma once

#include <cstdint>

#include "kernels/cpu/lanes/simd.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// What C holds before: nothing of interest, a sum to add to, or a sum to scale per lane and add
/// to.
enum class Init { kZero, kAdd, kScaleAdd };

/// A(r, k) is a[r * lda + k] (kRows), or a[k * lda + r] (kColumns: A is stored transposed).
enum class ALayout { kRows, kColumns };

// Register blocking: rows x vectors accumulators, plus one row of B and a broadcast, fit the
// register file (32 registers with AVX-512, otherwise 16).
#if defined(__AVX512F__)
inline constexpr int kTileVectors = 3;
inline constexpr int kMaxBlockVectors = 4;
constexpr int block_rows(int vectors) { return vectors == 4 ? 6 : 8; }
#elif defined(__AVX2__)
inline constexpr int kTileVectors = 3;
inline constexpr int kMaxBlockVectors = 3;
constexpr int block_rows(int vectors) { return vectors == 3 ? 4 : vectors == 2 ? 6 : 8; }
#else
inline constexpr int kTileVectors = 2;
inline constexpr int kMaxBlockVectors = 2;
constexpr int block_rows(int vectors) { return vectors == 2 ? 4 : 8; }
#endif

/// Lanes of the score tiles of the attention kernels: queries forward, keys backward.
template <class T>
inline constexpr int kTileLanes = kTileVectors* Lanes<T>::kSize;

template <class T>
struct GemmOperands {
  const T* a;
  std::int64_t lda;
  const T* b;
  std::int64_t ldb;
  T* c;
  std::int64_t ldc;
  const Lanes<T>* scale = nullptr;  ///< one per vector of C, for Init::kScaleAdd
  const T* soon = nullptr;          ///< row major like A, of as many rows and `depth` columns: what
  std::int64_t soon_stride = 0;     ///< the next product reads, fetched together with A
};

/// Fetches a line per step of the depth: of the next rows of A, and of the rows of `soon`. Products
/// of hot tiles reach 0.93 of the FMA peak, with streamed tiles 0.7 to 0.84 without this and 0.87
/// with it.
template <class T>
class Prefetcher {
 public:
  ATTNLAB_INLINE Prefetcher(const T* next_a, const T* soon) : next_a_(next_a), soon_(soon) {}

  ATTNLAB_INLINE void step(std::int64_t k, std::int64_t depth, const GemmOperands<T>& op) {
    if (k % 2 == 0) {
      __builtin_prefetch(next_a_ + column_);
    } else {
      __builtin_prefetch(soon_ + column_);
      column_ += 64 / static_cast<int>(sizeof(T));
      if (column_ >= depth) {
        column_ = 0;
        next_a_ += op.lda;
        soon_ += op.soon_stride;
      }
    }
  }

 private:
  const T* next_a_;
  const T* soon_;
  std::int64_t column_ = 0;
};

/// One block of C in registers.
template <class T, int kRows, int kVectors, Init kInit, ALayout kLayout, bool kPrefetch>
ATTNLAB_INLINE void gemm_block(std::int64_t row, std::int64_t vector, std::int64_t depth,
                               const GemmOperands<T>& op) {
  using V = Lanes<T>;
  const T* b = op.b + vector * V::kSize;
  T* c = op.c + row * op.ldc + vector * V::kSize;
  V acc[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[r][v] = V(0.0);
  }
  const std::int64_t row_step = kLayout == ALayout::kRows ? op.lda : 1;
  const std::int64_t depth_step = kLayout == ALayout::kRows ? 1 : op.lda;
  const T* a = op.a + row * row_step;
  [[maybe_unused]] Prefetcher<T> prefetcher(a + kRows * row_step, op.soon + row * op.soon_stride);
  // Fewer address computations, which would take the place of FMAs on their ports.
#pragma GCC unroll 4
  for (std::int64_t k = 0; k < depth; ++k) {
    if constexpr (kPrefetch) prefetcher.step(k, depth, op);
    V operand[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) operand[v] = V::load(b + v * V::kSize);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const V broadcast(a[r * row_step]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[r][v] = fma(broadcast, operand[v], acc[r][v]);
    }
    a += depth_step;
    b += op.ldb;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      // Added last: a sum over the whole sequence grows tile by tile, so its rounding errors grow
      // with the number of tiles instead of the number of terms.
      T* at = c + r * op.ldc + v * V::kSize;
      if constexpr (kInit == Init::kAdd) acc[r][v] = acc[r][v] + V::load(at);
      if constexpr (kInit == Init::kScaleAdd) {
        acc[r][v] = fma(V::load(at), op.scale[vector + v], acc[r][v]);
      }
      acc[r][v].store(at);
    }
  }
}

/// All rows of `kVectors` columns of vectors.
template <class T, int kVectors, Init kInit, ALayout kLayout, bool kPrefetch = false>
inline __attribute__((noinline)) void gemm_columns(std::int64_t vector, std::int64_t row_begin,
                                                   std::int64_t row_end, std::int64_t depth,
                                                   const GemmOperands<T>& op) {
  constexpr int kRows = block_rows(kVectors);
  std::int64_t r = row_begin;
  for (; r + kRows <= row_end; r += kRows) {
    gemm_block<T, kRows, kVectors, kInit, kLayout, kPrefetch>(r, vector, depth, op);
  }
  for (; r + 2 <= row_end; r += 2) {
    gemm_block<T, 2, kVectors, kInit, kLayout, kPrefetch>(r, vector, depth, op);
  }
  if (r < row_end) gemm_block<T, 1, kVectors, kInit, kLayout, kPrefetch>(r, vector, depth, op);
}

/// Rows [row_begin, row_end) of C, `vectors` vectors wide.
template <class T, Init kInit, ALayout kLayout>
inline void gemm(std::int64_t vectors, std::int64_t row_begin, std::int64_t row_end,
                 std::int64_t depth, const GemmOperands<T>& op) {
  std::int64_t v = 0;
  while (v < vectors) {
    const std::int64_t left = vectors - v;
    if constexpr (kMaxBlockVectors >= 4) {
      // 5 = 3 + 2 and 6 = 3 + 3 keep more accumulators busy than 4 + 1 and 4 + 2.
      if (left >= 7 || left == 4) {
        gemm_columns<T, 4, kInit, kLayout>(v, row_begin, row_end, depth, op);
        v += 4;
        continue;
      }
    }
    if constexpr (kMaxBlockVectors >= 3) {
      if (left >= 3 && left != 4) {
        gemm_columns<T, 3, kInit, kLayout>(v, row_begin, row_end, depth, op);
        v += 3;
        continue;
      }
    }
    if (left >= 2) {
      gemm_columns<T, 2, kInit, kLayout>(v, row_begin, row_end, depth, op);
      v += 2;
    } else {
      gemm_columns<T, 1, kInit, kLayout>(v, row_begin, row_end, depth, op);
      v += 1;
    }
  }
}

/// The same for tiles of exactly kTileVectors vectors.
template <class T, Init kInit, ALayout kLayout, bool kPrefetch = false>
inline void gemm_tile(std::int64_t rows, std::int64_t depth, const GemmOperands<T>& op) {
  gemm_columns<T, kTileVectors, kInit, kLayout, kPrefetch>(0, 0, rows, depth, op);
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
