// What the forward and the backward bfloat16 kernel share: the score scale, and NaN and infinities
// that only some queries may see.
#pragma once

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/lanes/flash_common.h"
#include "kernels/cpu/pairs/pair_tile.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

/// The scale is applied to float32 scores, because q times the scale would be rounded to bfloat16
/// again. Its sign goes into q, exactly, so that the largest product is the largest score.
template <class Score>
std::uint16_t sign_of_scale(const Score& score) {
  return score.scale < 0 ? 0x8000 : 0;
}
template <class Score>
float magnitude_of_scale(const Score& score) {
  const double scale = operand_scale(score);
  return static_cast<float>(scale < 0 ? -scale : scale);
}

inline float widened(bfloat16 x) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(x.bits) << 16);
}

inline bool is_finite(bfloat16 x) { return (x.bits & 0x7f80) != 0x7f80; }

/// A pair with 0 in place of NaN and infinities. 0 * NaN is NaN, so masked ones must not enter a
/// product; visible ones are then added one by one.
inline std::uint32_t without_non_finite(std::uint32_t pair) {
  if ((pair & 0x7f80u) == 0x7f80u) pair &= 0xffff0000u;
  if ((pair & 0x7f800000u) == 0x7f800000u) pair &= 0xffffu;
  return pair;
}

/// Largest lane; a NaN among them may or may not be it.
template <int kWidth = Lanes<float>::kSize>
ATTNLAB_INLINE float reduce_max(Lanes<float> v) {
  if constexpr (kWidth == 1) {
    return v.raw[0];
  } else {
    const auto folded = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return Lanes<float>(
          Lanes<float>::Raw(__builtin_shufflevector(v.raw, v.raw, ((I + kWidth / 2) % 16)...)));
    }
    (std::make_index_sequence<16>{});
    return reduce_max<kWidth / 2>(max(v, folded));
  }
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
