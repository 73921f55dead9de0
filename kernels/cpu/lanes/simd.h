// Lanes<T>: a vector of float or double of the instruction set that this translation unit is
// compiled for. Everything lives in a namespace named after that set (ATTNLAB_ISA_NAMESPACE:
// portable, avx2, avx512), so that the linker cannot mix up functions compiled for different
// machines.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/core/dtype.h"

#define ATTNLAB_INLINE inline __attribute__((always_inline))

namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class T>
struct Lanes {
  static constexpr int kSize = kVectorBytes / static_cast<int>(sizeof(T));
  using Element = T;
  using Int = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
  typedef T Raw __attribute__((vector_size(kVectorBytes)));
  typedef Int RawInt __attribute__((vector_size(kVectorBytes)));
  typedef T RawUnaligned __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));

  Raw raw;

  Lanes() = default;  ///< contents undefined
  ATTNLAB_INLINE explicit Lanes(Raw value) : raw(value) {}
  template <class S>
  requires std::is_arithmetic_v<S> ATTNLAB_INLINE explicit Lanes(S value)
      : raw(static_cast<T>(value) - Raw{}) {}

  ATTNLAB_INLINE static Lanes load(const T* p) {
    return Lanes(static_cast<Raw>(*reinterpret_cast<const RawUnaligned*>(p)));
  }
  ATTNLAB_INLINE void store(T* p) const { *reinterpret_cast<RawUnaligned*>(p) = raw; }

  friend ATTNLAB_INLINE Lanes operator+(Lanes a, Lanes b) { return Lanes(Raw(a.raw + b.raw)); }
  friend ATTNLAB_INLINE Lanes operator-(Lanes a, Lanes b) { return Lanes(Raw(a.raw - b.raw)); }
  friend ATTNLAB_INLINE Lanes operator*(Lanes a, Lanes b) { return Lanes(Raw(a.raw * b.raw)); }
  friend ATTNLAB_INLINE Lanes operator/(Lanes a, Lanes b) { return Lanes(Raw(a.raw / b.raw)); }
  friend ATTNLAB_INLINE RawInt operator<(Lanes a, Lanes b) { return a.raw < b.raw; }
  friend ATTNLAB_INLINE RawInt operator>(Lanes a, Lanes b) { return a.raw > b.raw; }
  friend ATTNLAB_INLINE RawInt operator==(Lanes a, Lanes b) { return a.raw == b.raw; }
  friend ATTNLAB_INLINE Lanes select(RawInt mask, Lanes a, Lanes b) {
    return Lanes(Raw(mask ? a.raw : b.raw));
  }
};

template <class T>
ATTNLAB_INLINE Lanes<T> max(Lanes<T> a, Lanes<T> b) {
  return Lanes<T>(typename Lanes<T>::Raw(a.raw > b.raw ? a.raw : b.raw));
}

/// a * b + c, fused where the machine can.
template <class T>
ATTNLAB_INLINE Lanes<T> fma(Lanes<T> a, Lanes<T> b, Lanes<T> c) {
  using V [[maybe_unused]] = Lanes<T>;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return V(typename V::Raw(_mm512_fmadd_ps(a.raw, b.raw, c.raw)));
  if constexpr (sizeof(T) == 8) return V(typename V::Raw(_mm512_fmadd_pd(a.raw, b.raw, c.raw)));
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) return V(typename V::Raw(_mm256_fmadd_ps(a.raw, b.raw, c.raw)));
  if constexpr (sizeof(T) == 8) return V(typename V::Raw(_mm256_fmadd_pd(a.raw, b.raw, c.raw)));
#else
  return a * b + c;
#endif
}

/// std::min and std::max would be inline functions shared between files for different machines.
ATTNLAB_INLINE std::int64_t lesser(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
ATTNLAB_INLINE std::int64_t greater(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

/// 0, 1, 2, ... in the lanes.
template <class T>
ATTNLAB_INLINE typename Lanes<T>::RawInt lane_indices() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return typename Lanes<T>::RawInt{static_cast<typename Lanes<T>::Int>(I)...};
  }
  (std::make_index_sequence<Lanes<T>::kSize>{});
}

/// All ones in the lanes [begin, end); the bounds may lie outside of the vector.
template <class T>
ATTNLAB_INLINE typename Lanes<T>::RawInt lane_range(std::int64_t begin, std::int64_t end) {
  using Int = typename Lanes<T>::Int;
  constexpr std::int64_t kSize = Lanes<T>::kSize;
  const Int lo = static_cast<Int>(begin < 0 ? 0 : begin > kSize ? kSize : begin);
  const Int hi = static_cast<Int>(end < 0 ? 0 : end > kSize ? kSize : end);
  const auto lane = lane_indices<T>();
  return (lane >= lo) & (lane < hi);
}

/// Sum of all lanes, in a fixed order: halves are folded onto each other.
template <class T, int kWidth = Lanes<T>::kSize>
ATTNLAB_INLINE T reduce_add(Lanes<T> v) {
  if constexpr (kWidth == 1) {
    return v.raw[0];
  } else {
    const auto folded = [&]<std::size_t... I>(std::index_sequence<I...>) {
      return Lanes<T>(typename Lanes<T>::Raw(__builtin_shufflevector(
          v.raw, v.raw, ((static_cast<int>(I) + kWidth / 2) % Lanes<T>::kSize)...)));
    }
    (std::make_index_sequence<Lanes<T>::kSize>{});
    return reduce_add<T, kWidth / 2>(v + folded);
  }
}

// ---- Loads that widen and stores that round; p need not be aligned. ----

template <class T>
ATTNLAB_INLINE Lanes<T> load(const T* p) {
  return Lanes<T>::load(p);
}

template <class T>
ATTNLAB_INLINE void store(T* p, Lanes<T> v) {
  v.store(p);
}

typedef std::uint32_t U32Lanes __attribute__((vector_size(kVectorBytes)));
typedef std::uint16_t U16HalfLanes __attribute__((vector_size(kVectorBytes / 2)));

ATTNLAB_INLINE U16HalfLanes load_bits(const void* p) {
  U16HalfLanes bits;
  std::memcpy(&bits, p, sizeof(bits));
  return bits;
}

ATTNLAB_INLINE Lanes<float> load(const bfloat16* p) {
  const U32Lanes bits = __builtin_convertvector(load_bits(p), U32Lanes) << 16;
  return Lanes<float>(std::bit_cast<Lanes<float>::Raw>(bits));
}

/// The bits of bfloat16, rounded to nearest even.
ATTNLAB_INLINE U32Lanes bfloat16_bits(Lanes<float> v) {
  const U32Lanes bits = std::bit_cast<U32Lanes>(v.raw);
  const U32Lanes rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const U32Lanes quiet_nan = (bits >> 16) | 0x40u;
  return (bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded;
}

ATTNLAB_INLINE void store(bfloat16* p, Lanes<float> v) {
  const U16HalfLanes narrow = __builtin_convertvector(bfloat16_bits(v), U16HalfLanes);
  std::memcpy(p, &narrow, sizeof(narrow));
}

ATTNLAB_INLINE Lanes<float> load(const float16* p) {
#if defined(__AVX512F__)
  // With a mask of all lanes: the plain form makes g++ 12 warn of an undefined operand.
  const auto bits = std::bit_cast<__m256i>(load_bits(p));
  return Lanes<float>(Lanes<float>::Raw(_mm512_maskz_cvtph_ps(0xffff, bits)));
#elif defined(__AVX2__)
  return Lanes<float>(Lanes<float>::Raw(_mm256_cvtph_ps(std::bit_cast<__m128i>(load_bits(p)))));
#else
  Lanes<float> v;
  for (int i = 0; i < Lanes<float>::kSize; ++i) v.raw[i] = to_float(p[i]);
  return v;
#endif
}

ATTNLAB_INLINE void store(float16* p, Lanes<float> v) {
#if defined(__AVX512F__)
  const __m256i bits = _mm512_maskz_cvtps_ph(0xffff, v.raw, _MM_FROUND_TO_NEAREST_INT);
  std::memcpy(p, &bits, sizeof(bits));
#elif defined(__AVX2__)
  const __m128i bits = _mm256_cvtps_ph(v.raw, _MM_FROUND_TO_NEAREST_INT);
  std::memcpy(p, &bits, sizeof(bits));
#else
  for (int i = 0; i < Lanes<float>::kSize; ++i) p[i] = to_float16(v.raw[i]);
#endif
}

/// The first `count` elements, the other lanes 0; reads nothing beyond.
template <class T>
ATTNLAB_INLINE auto load_partial(const T* p, std::int64_t count) {
  constexpr int kSize = decltype(load(p))::kSize;
  if (count >= kSize) return load(p);
  alignas(64) T buffer[kSize] = {};
  for (std::int64_t i = 0; i < count; ++i) buffer[i] = p[i];
  return load(static_cast<const T*>(buffer));
}

/// Writes the first `count` lanes and nothing beyond.
template <class T, class U>
ATTNLAB_INLINE void store_partial(T* p, Lanes<U> v, std::int64_t count) {
  if (count >= Lanes<U>::kSize) return store(p, v);
  alignas(64) T buffer[Lanes<U>::kSize];
  store(static_cast<T*>(buffer), v);
  for (std::int64_t i = 0; i < count; ++i) p[i] = buffer[i];
}

}  // namespace attnlab::cpu::ATTNLAB_ISA_NAMESPACE
