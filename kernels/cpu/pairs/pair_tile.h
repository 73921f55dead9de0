// Moving bfloat16 tiles into the layouts of pair_product.h, and float32 results out.
#pragma once

#include "kernels/cpu/arena.h"
#include "kernels/cpu/lanes/simd_math.h"
#include "kernels/cpu/lanes/tile.h"
#include "kernels/cpu/pairs/pair_product.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// Elements of a depth: whole steps of every instruction.
constexpr std::int64_t padded_depth(std::int64_t depth) { return round_up(depth, kDepthBlock); }

/// 32 elements of a row as bits, those from `count` on 0; reads nothing beyond.
ATTNLAB_INLINE __m512i load_bits_32(const bfloat16* p, std::int64_t count) {
  if (count >= 32) return _mm512_loadu_si512(p);
  const auto mask = count <= 0 ? 0u : (1u << count) - 1u;
  return _mm512_maskz_loadu_epi16(mask, p);
}

/// B = the transpose of src: the depth runs along the rows of src [columns][depth]. Columns up to
/// `columns_padded` and the depth up to `depth_padded` are filled with zeros.
inline __attribute__((noinline)) void pack_transposed(const bfloat16* src, std::int64_t src_stride,
                                                      std::int64_t columns, std::int64_t depth,
                                                      std::int64_t columns_padded,
                                                      std::int64_t depth_padded,
                                                      std::uint32_t* dst) {
  using V = Lanes<float>;
  for (std::int64_t c = 0; c < columns_padded; c += kPanelColumns) {
    for (std::int64_t k = 0; k < depth_padded; k += 32) {
      V block[16];
      for (int i = 0; i < 16; ++i) {
        const __m512i bits = c + i < columns
                                 ? load_bits_32(src + (c + i) * src_stride + k, depth - k)
                                 : _mm512_setzero_si512();
        block[i] = V(__builtin_bit_cast(V::Raw, bits));
      }
      detail::transpose_in_registers<float>(block);
      auto* to = reinterpret_cast<float*>(dst + k / 2 * kPanelColumns);
      for (int i = 0; i < 16; ++i) block[i].store(to + i * kPanelColumns);
    }
    dst += depth_padded / 2 * kPanelColumns;
  }
}

/// 32 columns of two rows as pairs (first, second): the even columns, and the odd ones.
ATTNLAB_INLINE void store_split_pairs(__m512i first, __m512i second, std::uint32_t* even,
                                      std::uint32_t* odd) {
  constexpr int kFirstWhereMaskElseSecond = 0xca;
  const __m512i low_half = _mm512_set1_epi32(0xffff);
  const __m512i second_up = _mm512_maskz_slli_epi32(0xffff, second, 16);
  const __m512i first_down = _mm512_maskz_srli_epi32(0xffff, first, 16);
  _mm512_storeu_si512(
      even, _mm512_ternarylogic_epi32(low_half, first, second_up, kFirstWhereMaskElseSecond));
  _mm512_storeu_si512(
      odd, _mm512_ternarylogic_epi32(low_half, first_down, second, kFirstWhereMaskElseSecond));
}

/// B = src [depth][columns] as it lies, two rows interleaved. Of 32 columns, the even ones go into
/// one panel and the odd ones into the next, because that takes no shuffles: C then has its columns
/// in this order, see `split_column` and `store_split_row`. Panels are `panel_stride` apart;
/// columns up to a multiple of 32 and the depth up to `depth_padded` are filled with zeros.
inline __attribute__((noinline)) void pack_rows(const bfloat16* src, std::int64_t src_stride,
                                                std::int64_t depth, std::int64_t columns,
                                                std::int64_t depth_padded, std::uint32_t* dst,
                                                std::int64_t panel_stride) {
  for (std::int64_t k = 0; k < depth_padded; k += 2) {
    const bfloat16* row = src + k * src_stride;
    std::uint32_t* to = dst + k / 2 * kPanelColumns;
    for (std::int64_t c = 0; c < columns; c += 32) {
      store_split_pairs(load_bits_32(row + c, k < depth ? columns - c : 0),
                        load_bits_32(row + src_stride + c, k + 1 < depth ? columns - c : 0), to,
                        to + panel_stride);
      to += 2 * panel_stride;
    }
  }
}

/// Where column c of a `pack_rows` operand lies in C.
constexpr std::int64_t split_column(std::int64_t c) {
  return c / 32 * 32 + c % 2 * 16 + c % 32 / 2;
}

/// dst[c] = factor * src[split_column(c)], rounded; exactly `columns` are written.
inline void store_split_row(const float* src, float factor, std::int64_t columns, bfloat16* dst) {
  using V = Lanes<float>;
  for (std::int64_t c = 0; c < columns; c += 32) {
    const U32Lanes even = bfloat16_bits(V::load(src + c) * V(factor));
    const U32Lanes odd = bfloat16_bits(V::load(src + c + V::kSize) * V(factor));
    const std::int64_t count = columns - c;
    const std::uint32_t mask = count >= 32 ? ~0u : (1u << count) - 1u;
    _mm512_mask_storeu_epi16(dst + c, mask, __builtin_bit_cast(__m512i, even | odd << 16));
  }
}

/// A = src, rows up to `rows_padded` and columns up to `columns_padded` filled with zeros. `flip`
/// is xored into all elements: 0x8000 changes the sign.
inline void copy_rows(const bfloat16* src, std::int64_t src_stride, std::int64_t rows,
                      std::int64_t columns, std::int64_t rows_padded, std::int64_t columns_padded,
                      std::uint16_t flip, bfloat16* dst) {
  const __m512i sign = _mm512_set1_epi16(static_cast<short>(flip));
  for (std::int64_t r = 0; r < rows_padded; ++r) {
    for (std::int64_t c = 0; c < columns_padded; c += 32) {
      const __m512i bits =
          r < rows ? load_bits_32(src + r * src_stride + c, columns - c) : _mm512_setzero_si512();
      _mm512_storeu_si512(dst + r * columns_padded + c, _mm512_xor_si512(bits, sign));
    }
  }
}

/// Two vectors of float rounded to 32 bfloat16.
ATTNLAB_INLINE void store_rounded(bfloat16* p, Lanes<float> low, Lanes<float> high) {
  _mm512_storeu_si512(p, __builtin_bit_cast(__m512i, _mm512_cvtne2ps_pbh(high.raw, low.raw)));
}

/// Whether no element is NaN or infinite.
inline bool all_finite(const bfloat16* src, std::int64_t src_stride, std::int64_t rows,
                       std::int64_t columns) {
  const __m512i exponent = _mm512_set1_epi16(0x7f80);
  __mmask32 found = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; c += 32) {
      const __m512i bits = load_bits_32(src + r * src_stride + c, columns - c);
      found |= _mm512_cmpeq_epi16_mask(_mm512_and_si512(bits, exponent), exponent);
    }
  }
  return found == 0;
}

/// 2^x for weights that are rounded to bfloat16: relative error 3e-6 (degree 4 on [0, 1], minimax
/// with p(0) = 1); 0 for -inf, NaN stays NaN.
ATTNLAB_INLINE Lanes<float> exp2_weight(Lanes<float> x) {
  using V = Lanes<float>;
  // SCALEF multiplies with 2^floor(x) itself.
  constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
  const V f(V::Raw(_mm512_maskz_reduce_ps(0xffff, x.raw, kDown)));
  V p(0.013426682911813259);
  p = fma(p, f, V(0.052242476493120193));
  p = fma(p, f, V(0.241280198097229));
  p = fma(p, f, V(0.6930448412895203));
  p = fma(p, f, V(1.0));
  return V(V::Raw(_mm512_maskz_scalef_ps(0xffff, p.raw, x.raw)));
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
