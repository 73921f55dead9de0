// exp2 and tanh of lanes. float: relative error of exp2 1.5e-7 with AVX-512 (degree 5 on [0, 1],
// minimax with p(0) = 1), else 2.1e-7 (degree 5 on [-0.5, 0.5], interpolated at Chebyshev nodes);
// double: a few units in the last place (Taylor series to degree 13).
#pragma once

#include <array>
#include <limits>

#include "kernels/cpu/lanes/simd.h"

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

namespace detail {

/// x = n + f, n whole and |f| <= 0.5: adding 1.5 * 2^(mantissa bits) rounds, and leaves n in the
/// low bits of the representation.
template <class T>
struct Split {
  static constexpr bool kIsFloat = sizeof(T) == 4;
  static constexpr int kMantissaBits = kIsFloat ? 23 : 52;
  static constexpr double kMinExponent = kIsFloat ? -126.0 : -1022.0;
  static constexpr double kMaxExponent = kIsFloat ? 128.0 : 1024.0;

  Lanes<T> fraction;
  Lanes<T> power;  ///< 2^n

  /// x within [kMinExponent, kMaxExponent], or NaN.
  ATTNLAB_INLINE explicit Split(Lanes<T> x) {
    using V = Lanes<T>;
    const V magic(kIsFloat ? 0x1.8p23 : 0x1.8p52);
    const V shifted = x + magic;
    fraction = x - (shifted - magic);
    const auto n = std::bit_cast<typename V::RawInt>(shifted.raw) -
                   std::bit_cast<typename V::RawInt>(magic.raw);
    constexpr typename V::Int kBias = kIsFloat ? 127 : 1023;
    power = V(std::bit_cast<typename V::Raw>((n + kBias) << kMantissaBits));
  }
};

/// 1/k! for k = 1 .. 13.
inline constexpr std::array<double, 13> kInverseFactorials = [] {
  std::array<double, 13> table{};
  double factorial = 1.0;
  for (int k = 1; k <= 13; ++k) table[k - 1] = 1.0 / (factorial *= k);
  return table;
}();

/// exp(y) - 1 for |y| <= 0.35, accurate also near 0.
template <class T>
ATTNLAB_INLINE Lanes<T> expm1_small(Lanes<T> y) {
  constexpr int kDegree = sizeof(T) == 4 ? 7 : 13;
  Lanes<T> p(kInverseFactorials[kDegree - 1]);
#pragma GCC unroll 16
  for (int k = kDegree - 2; k >= 0; --k) p = fma(p, y, Lanes<T>(kInverseFactorials[k]));
  return p * y;
}

inline constexpr double kLn2 = 0.6931471805599453;

}  // namespace detail

/// 2^x; exactly 0 below the normal range, NaN stays NaN, x above the range gives infinity.
template <class T>
ATTNLAB_INLINE Lanes<T> exp2(Lanes<T> x) {
  using V = Lanes<T>;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    // VSCALEFPS multiplies with 2^floor(x) itself. VREDUCEPS is x - floor(x), and 0 for an infinite
    // x, for which the scaling then yields 0 or infinity.
    constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    const V f(typename V::Raw(_mm512_maskz_reduce_ps(0xffff, x.raw, kDown)));
    V p(0.001867129816673696);
    p = fma(p, f, V(0.009017030708491802));
    p = fma(p, f, V(0.05579991266131401));
    p = fma(p, f, V(0.24016444385051727));
    p = fma(p, f, V(0.6931512951850891));
    p = fma(p, f, V(1.0));
    return V(typename V::Raw(_mm512_maskz_scalef_ps(0xffff, p.raw, x.raw)));
  }
#endif
  constexpr double kMin = detail::Split<T>::kMinExponent;
  constexpr double kMax = detail::Split<T>::kMaxExponent;
  const V low = select(x < V(kMin), V(kMin), x);
  const detail::Split<T> split(select(low > V(kMax), V(kMax), low));
  V result;
  if constexpr (sizeof(T) == 4) {
    const V f = split.fraction;
    V p(0.0013390863364533504);
    p = fma(p, f, V(0.009676031918326564));
    p = fma(p, f, V(0.05550357114219461));
    p = fma(p, f, V(0.24022107485308208));
    p = fma(p, f, V(0.6931471880262287));
    result = fma(p, f, V(1.0)) * split.power;
  } else {
    const V q = detail::expm1_small(split.fraction * V(detail::kLn2));
    result = fma(q, split.power, split.power);
  }
  return select(x < V(kMin), V(0.0), result);
}

/// tanh(x) = -e / (e + 2) with e = exp(-2|x|) - 1; relative error stays small near 0.
template <class T>
ATTNLAB_INLINE Lanes<T> tanh(Lanes<T> x) {
  using V = Lanes<T>;
  const V magnitude = select(x < V(0.0), V(0.0) - x, x);
  // Beyond 20 the result is 1 in either precision.
  const V bounded = select(magnitude > V(20.0), V(20.0), magnitude);
  const detail::Split<T> split(bounded * V(-2.0 / detail::kLn2));
  const V q = detail::expm1_small(split.fraction * V(detail::kLn2));
  const V e = fma(q, split.power, split.power - V(1.0));
  const V positive = (V(0.0) - e) / (e + V(2.0));
  return select(x < V(0.0), V(0.0) - positive, positive);
}

template <class T>
ATTNLAB_INLINE Lanes<T> abs(Lanes<T> x) {
  return select(x < Lanes<T>(0.0), Lanes<T>(0.0) - x, x);
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
