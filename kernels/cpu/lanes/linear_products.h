// Products of one chunk of linear attention: register blocks that go through two ranges of depth, a
// triangle inside the chunk and a state that came before it, and hand every finished vector to an
// epilogue (divide, decay, store), so that no result is swept over again. Sums of both ranges start
// from zero, the triangle first: the long-running state enters last.
//
// All tiles have kChunk rows and padded columns, so there are no edge blocks: a chunk at the ragged
// end is filled up with rows of zeros.
#pragma once

#include <cstdint>

#include "kernels/cpu/lanes/gemm.h"
#include "kernels/cpu/lanes/simd.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// Tokens of a chunk; a multiple of every vector. Smaller ones cost fewer operations inside the
/// chunk, larger ones update the state less often: with 32 instead of 64, forward at head_dim 64
/// took 15 % less time (Xeon with AVX-512, seqlen 16384).
inline constexpr std::int64_t kChunk = 32;

/// Pairs of tokens inside a chunk: with row r goes column c <= r (kLower) or c >= r (kUpper).
enum class Triangle { kNone, kLower, kUpper };

inline constexpr std::int64_t kCacheLineBytes = 64;

/// Two streams of cache lines that products fetch ahead while they compute: the rows of the next
/// chunk, which are too short a piece of memory for the machine to foresee. Lines are only asked
/// for, never read: past the end of a tensor does no harm.
struct Ahead {
  const char* first = nullptr;
  const char* second = nullptr;

  ATTNLAB_INLINE void fetch() {
    __builtin_prefetch(first, 0, 2);
    __builtin_prefetch(second, 0, 2);
    first += kCacheLineBytes;
    second += kCacheLineBytes;
  }
};

/// A(r, k) * B[k][vectors] over `depth`.
template <class T>
struct Factors {
  const T* a = nullptr;
  std::int64_t lda = 0;
  const T* b = nullptr;
  std::int64_t ldb = 0;  ///< kPanels: B lies in panels of `depth` rows
  std::int64_t depth = 0;
};

/// B in panels: the columns of one register block lie row after row without a gap, then those of
/// the next. Rows of a whole matrix would be a power of two apart and displace each other in the
/// cache.
inline constexpr std::int64_t kPanels = 0;

/// Vectors of the next register block where `left` are left: the width of the panel.
constexpr int block_vectors(std::int64_t left) {
  // 5 = 3 + 2 and 6 = 3 + 3 keep more registers busy than 4 + 1 and 4 + 2.
  if (kMaxBlockVectors >= 4 && (left >= 7 || left == 4)) return 4;
  if (kMaxBlockVectors >= 3 && left >= 3 && left != 4) return 3;
  return left >= 2 ? 2 : 1;
}

/// sum += a * b, in the register of the sum: g++ 12 otherwise lets sums of unrolled steps wander
/// between registers and spills some of them.
template <class T>
ATTNLAB_INLINE void accumulate(Lanes<T>& sum, Lanes<T> a, Lanes<T> b) {
#if defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    asm("vfmadd231ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  if constexpr (sizeof(T) == 8)
    asm("vfmadd231pd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
#else
  sum = fma(a, b, sum);
#endif
}

/// Where a vector of a product belongs.
struct Place {
  std::int64_t row;
  std::int64_t block;  ///< first vector of its register block
  int v;               ///< vector within it
  int block_vectors;

  ATTNLAB_INLINE std::int64_t vector() const { return block + v; }
  /// Within a matrix of `rows` rows in panels, in vectors.
  ATTNLAB_INLINE std::int64_t in_panels(std::int64_t rows) const {
    return block * rows + row * block_vectors + v;
  }
};

template <class T, int kRows, int kVectors>
struct RegisterBlock {
  using V = Lanes<T>;
  V sums[kRows][kVectors];

  ATTNLAB_INLINE RegisterBlock() {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[r][v] = V(0.0);
    }
  }

  ATTNLAB_INLINE void step(const T* a, std::int64_t row_step, const T* b) {
    V operand[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) operand[v] = V::load(b + v * V::kSize);
    const T* upper = a + 8 * row_step;
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const V broadcast(r < 8 ? a[r * row_step] : upper[(r - 8) * row_step]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) accumulate(sums[r][v], broadcast, operand[v]);
    }
  }

  /// Adds a product; `a` and `b` point to its first row, vector and depth.
  template <ALayout kLayout>
  ATTNLAB_INLINE void add(const T* a, std::int64_t lda, const T* b, std::int64_t ldb,
                          std::int64_t depth, Ahead& ahead) {
    const std::int64_t row_step = kLayout == ALayout::kRows ? lda : 1;
    const std::int64_t depth_step = kLayout == ALayout::kRows ? 1 : lda;
    constexpr int kUnroll = 4;
    std::int64_t k = 0;
    for (; k + kUnroll <= depth; k += kUnroll) {
      ahead.fetch();
#pragma GCC unroll 4
      for (int u = 0; u < kUnroll; ++u) {
        step(a + u * depth_step, row_step, b);
        b += ldb;
      }
      a += kUnroll * depth_step;
    }
    for (; k < depth; ++k) {
      step(a, row_step, b);
      a += depth_step;
      b += ldb;
    }
  }

  template <class Epilogue>
  ATTNLAB_INLINE void finish(std::int64_t row, std::int64_t vector, const Epilogue& epilogue) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) epilogue({row + r, vector, v, kVectors}, sums[r][v]);
    }
  }
};

/// What a chunk's product sums: first `pairs` ([kChunk][kChunk] times rows of the chunk) over its
/// triangle, then `state`, whose A has the layout of the product.
template <class T>
struct ChunkOperands {
  Triangle side = Triangle::kNone;
  Factors<T> pairs;
  Factors<T> state;
  Ahead* ahead;
};

template <class T, int kRows, int kVectors, ALayout kLayout, class Epilogue>
ATTNLAB_INLINE void chunk_block(std::int64_t row, std::int64_t vector, const ChunkOperands<T>& op,
                                const Epilogue& epilogue) {
  const std::int64_t column = vector * Lanes<T>::kSize;
  RegisterBlock<T, kRows, kVectors> block;
  Ahead ahead = *op.ahead;
  if (op.side != Triangle::kNone) {
    const std::int64_t first = op.side == Triangle::kLower ? 0 : row;
    const std::int64_t last = op.side == Triangle::kLower ? row + kRows : kChunk;
    const Factors<T>& pairs = op.pairs;
    block.template add<ALayout::kRows>(pairs.a + row * pairs.lda + first, pairs.lda,
                                       pairs.b + first * pairs.ldb + column, pairs.ldb,
                                       last - first, ahead);
  }
  const Factors<T>& state = op.state;
  const bool panels = state.ldb == kPanels;
  block.template add<kLayout>(state.a + row * (kLayout == ALayout::kRows ? state.lda : 1),
                              state.lda, state.b + (panels ? column * state.depth : column),
                              panels ? kVectors * Lanes<T>::kSize : state.ldb, state.depth, ahead);
  *op.ahead = ahead;
  block.finish(row, vector, epilogue);
}

/// All rows (a multiple of 16) of one block of `kVectors` vectors.
template <class T, int kVectors, ALayout kLayout, class Epilogue>
inline __attribute__((noinline)) void chunk_columns(std::int64_t vector, std::int64_t rows,
                                                    const ChunkOperands<T>& op, bool row_by_row,
                                                    const Epilogue& epilogue) {
  constexpr bool kSix = kMaxBlockVectors == 4 && kVectors == 4;
  constexpr int kRows = kMaxBlockVectors == 4 ? (kVectors == 1 ? 16
                                                 : kSix        ? 4
                                                               : 8)
                                              : (kVectors == 1 ? 8 : 4);
  std::int64_t r = 0;
  for (; row_by_row && r < rows; ++r) {
    chunk_block<T, 1, kVectors, kLayout>(r, vector, op, epilogue);
  }
  if constexpr (kSix) {
    // 6 rows of 4 vectors fill the registers; 4 are left over, or 8 where 2 would be.
    for (; rows - r >= 6 && rows - r != 8; r += 6) {
      chunk_block<T, 6, kVectors, kLayout>(r, vector, op, epilogue);
    }
  }
  for (; r < rows; r += kRows) chunk_block<T, kRows, kVectors, kLayout>(r, vector, op, epilogue);
}

/// epilogue(place, sum) for all rows (a multiple of 16) and vectors of the product. `row_by_row`:
/// no row reads what its own triangle leaves out, not even to multiply it by 0; for rows of the
/// chunk that are not finite. Slow; finite rows get the same bits.
template <class T, ALayout kLayout, class Epilogue>
inline void chunk_product(std::int64_t rows, std::int64_t vectors, const ChunkOperands<T>& op,
                          bool row_by_row, const Epilogue& epilogue) {
  std::int64_t v = 0;
  while (v < vectors) {
    const int width = block_vectors(vectors - v);
    if constexpr (kMaxBlockVectors >= 4) {
      if (width == 4) chunk_columns<T, 4, kLayout>(v, rows, op, row_by_row, epilogue);
    }
    if constexpr (kMaxBlockVectors >= 3) {
      if (width == 3) chunk_columns<T, 3, kLayout>(v, rows, op, row_by_row, epilogue);
    }
    if (width == 2) chunk_columns<T, 2, kLayout>(v, rows, op, row_by_row, epilogue);
    if (width == 1) chunk_columns<T, 1, kLayout>(v, rows, op, row_by_row, epilogue);
    v += width;
  }
}

/// Gives the pairs of a triangle their value; the other side becomes 0, also where the sum is NaN.
template <class T, Triangle kSide>
struct PairEpilogue {
  const T* shift;  ///< [kChunk], of the later token of a pair: r of the lower, c of the upper
                   ///< triangle; or null
  const T* gates;  ///< [kChunk][kChunk] or null
  T* pairs;        ///< [kChunk][kChunk]

  ATTNLAB_INLINE void operator()(const Place& place, Lanes<T> value) const {
    using V = Lanes<T>;
    const std::int64_t row = place.row;
    const std::int64_t c = place.vector() * V::kSize;
    if (shift != nullptr) {
      value = value + (kSide == Triangle::kLower ? V(shift[row]) : V::load(shift + c));
    }
    if (gates != nullptr) value = value * V::load(gates + row * kChunk + c);
    const auto kept =
        kSide == Triangle::kLower ? lane_range<T>(0, row + 1 - c) : lane_range<T>(row - c, kChunk);
    select(kept, value, V(0.0)).store(pairs + row * kChunk + c);
  }
};

template <class T, int kRows, int kVectors, Triangle kSide>
inline __attribute__((noinline)) void pair_block(std::int64_t row, std::int64_t vector,
                                                 const Factors<T>& op, Ahead& stream,
                                                 const PairEpilogue<T, kSide>& epilogue) {
  Ahead ahead = stream;
  RegisterBlock<T, kRows, kVectors> block;
  block.template add<ALayout::kRows>(op.a + row * op.lda, op.lda, op.b + vector * Lanes<T>::kSize,
                                     op.ldb, op.depth, ahead);
  stream = ahead;
  block.finish(row, vector, epilogue);
}

/// pairs[r][c] = (x_r . y_c + shift) * gate on one side, 0 on the other. op.a = x, op.b = y
/// transposed ([depth][kChunk]); only vectors that the triangle touches are computed.
template <class T, Triangle kSide>
inline void pair_products(const Factors<T>& op, Ahead ahead,
                          const PairEpilogue<T, kSide>& epilogue) {
  constexpr int kSize = Lanes<T>::kSize;
  constexpr int kRows = kMaxBlockVectors == 4 ? 8 : 4;
  // One vector needs more rows to keep the multipliers busy.
  constexpr int kSpan = kSize > kRows ? kSize : kRows;
  constexpr std::int64_t kVectorsOfChunk = kChunk / kSize;
  for (std::int64_t r = 0; r < kChunk; r += kSpan) {
    std::int64_t v = kSide == Triangle::kLower ? 0 : r / kSize;
    const std::int64_t end =
        kSide == Triangle::kLower ? (r + kSpan + kSize - 1) / kSize : kVectorsOfChunk;
    for (std::int64_t w = 0; w < kVectorsOfChunk; ++w) {
      if (w >= v && w < end) continue;
      for (int i = 0; i < kSpan; ++i) {
        Lanes<T>(0.0).store(epilogue.pairs + (r + i) * kChunk + w * kSize);
      }
    }
    for (; v + 2 <= end; v += 2) {
      for (int i = 0; i < kSpan; i += kRows) {
        pair_block<T, kRows, 2, kSide>(r + i, v, op, ahead, epilogue);
      }
    }
    if (v < end) pair_block<T, kSpan, 1, kSide>(r, v, op, ahead, epilogue);
  }
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
