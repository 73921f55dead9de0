// Products of bfloat16 matrices with float32 sums: where the bfloat16 peak is made.
// C[rows][columns] (+)= A[rows][depth] * B[depth][columns], with two neighbours of the depth summed
// by one instruction. A: rows of bfloat16, depth contiguous. B: panels of 16 columns, a panel is
// [depth / 2][16][2], so that elements (2k, c) and (2k + 1, c) lie side by side: the operand of
// VDPBF16PS and, 16 rows of it, of TDPBF16PS (Intel 64 and IA-32 manual, volume 2).
// Sizes are multiples of kRowBlock, 16 and kDepthBlock; callers pad with zeros.
//
// Tile and vector instructions add up on the Xeon this was measured on (a TDPBF16PS and 32 FMAs
// take 34 cycles, alone 17 and 16), so products interleaved with a softmax were no faster than one
// after the other. Hot operands: 21 to 25 cycles for each TDPBF16PS, of which 16 are its own.
#pragma once

#include "kernels/cpu/lanes/simd.h"
#include "kernels/cpu/pairs/tile_config.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

inline constexpr std::int64_t kPanelColumns = 16;
inline constexpr std::int64_t kDepthBlock = 32;
inline constexpr std::int64_t kRowBlock = 32;

struct PairOperands {
  const bfloat16* a;
  std::int64_t lda;
  const std::uint32_t* b;     ///< first panel
  std::int64_t panel_stride;  ///< pairs from panel to panel
  float* c;
  std::int64_t ldc;
};

#if defined(__AMX_BF16__)

/// 16 * kRows rows and kPanels panels of C: tiles 0 to 3; A in 4 and 5, B in 6 and 7.
template <bool kAdd, int kRows, int kPanels>
ATTNLAB_INLINE void tile_block(std::int64_t depth, const PairOperands& op) {
  const auto ldc = static_cast<long>(op.ldc * 4);
  const auto lda = static_cast<long>(op.lda * 2);
  float* const c1 = op.c + 16 * op.ldc;
  if constexpr (kAdd) {
    _tile_loadd(0, op.c, ldc);
    if constexpr (kPanels > 1) _tile_loadd(1, op.c + 16, ldc);
    if constexpr (kRows > 1) _tile_loadd(2, c1, ldc);
    if constexpr (kRows > 1 && kPanels > 1) _tile_loadd(3, c1 + 16, ldc);
  } else {
    _tile_zero(0);
    if constexpr (kPanels > 1) _tile_zero(1);
    if constexpr (kRows > 1) _tile_zero(2);
    if constexpr (kRows > 1 && kPanels > 1) _tile_zero(3);
  }
  for (std::int64_t k = 0; k < depth; k += kDepthBlock) {
    const std::uint32_t* b = op.b + k / 2 * kPanelColumns;
    _tile_loadd(4, op.a + k, lda);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kPanels > 1) {
      _tile_loadd(7, b + op.panel_stride, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kRows > 1) {
      _tile_loadd(5, op.a + 16 * op.lda + k, lda);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (kPanels > 1) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, op.c, ldc);
  if constexpr (kPanels > 1) _tile_stored(1, op.c + 16, ldc);
  if constexpr (kRows > 1) _tile_stored(2, c1, ldc);
  if constexpr (kRows > 1 && kPanels > 1) _tile_stored(3, c1 + 16, ldc);
}

template <bool kAdd>
inline __attribute__((noinline)) void pair_product(std::int64_t rows, std::int64_t columns,
                                                   std::int64_t depth, const PairOperands& op) {
  for (std::int64_t r = 0; r < rows; r += kRowBlock) {
    for (std::int64_t c = 0; c < columns; c += 2 * kPanelColumns) {
      const PairOperands block{op.a + r * op.lda,
                               op.lda,
                               op.b + c / kPanelColumns * op.panel_stride,
                               op.panel_stride,
                               op.c + r * op.ldc + c,
                               op.ldc};
      if (columns - c > kPanelColumns) {
        tile_block<kAdd, 2, 2>(depth, block);
      } else {
        tile_block<kAdd, 2, 1>(depth, block);
      }
    }
  }
}

#else

/// kRows rows and kPanels panels of C in registers.
template <bool kAdd, int kRows, int kPanels>
ATTNLAB_INLINE void register_block(std::int64_t depth, const PairOperands& op) {
  __m512 acc[kRows][kPanels];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      acc[r][p] = kAdd ? _mm512_loadu_ps(op.c + r * op.ldc + p * 16) : _mm512_setzero_ps();
    }
  }
  for (std::int64_t k = 0; k < depth / 2; ++k) {
    __m512i b[kPanels];
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      b[p] = _mm512_loadu_si512(op.b + p * op.panel_stride + k * kPanelColumns);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      int pair;
      __builtin_memcpy(&pair, op.a + r * op.lda + 2 * k, sizeof(pair));
      const __m512i a = _mm512_set1_epi32(pair);
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) {
        acc[r][p] = _mm512_dpbf16_ps(acc[r][p], __builtin_bit_cast(__m512bh, a),
                                     __builtin_bit_cast(__m512bh, b[p]));
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) _mm512_storeu_ps(op.c + r * op.ldc + p * 16, acc[r][p]);
  }
}

template <bool kAdd, int kRows, int kPanels>
inline __attribute__((noinline)) void panel_rows(std::int64_t rows, std::int64_t depth,
                                                 PairOperands op) {
  for (std::int64_t r = 0; r < rows; r += kRows) {
    register_block<kAdd, kRows, kPanels>(depth, op);
    op.a += kRows * op.lda;
    op.c += kRows * op.ldc;
  }
}

template <bool kAdd>
inline void pair_product(std::int64_t rows, std::int64_t columns, std::int64_t depth,
                         PairOperands op) {
  std::int64_t panels = columns / kPanelColumns;
  while (panels > 0) {
    // 8 x 3 sums fill the registers; 4 panels are better 2 and 2 than 3 and 1.
    const std::int64_t step = panels == 4 ? 2 : lesser(panels, 3);
    switch (step) {
      case 3: panel_rows<kAdd, 8, 3>(rows, depth, op); break;
      case 2: panel_rows<kAdd, 8, 2>(rows, depth, op); break;
      default: panel_rows<kAdd, 8, 1>(rows, depth, op); break;
    }
    op.b += step * op.panel_stride;
    op.c += step * kPanelColumns;
    panels -= step;
  }
}

#endif

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
