// Exchange between the 32 lanes of a warp, conversions to packed 16-bit numbers, and exp2. All
// lanes of the warp take part in every exchange.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/core/dtype.h"

namespace attnlab::cuda {

inline constexpr unsigned kFullWarp = 0xffffffffu;

__device__ __forceinline__ void sync_warp() { __syncwarp(kFullWarp); }

/// The value of lane (own ^ lane_mask). T: int, unsigned, 64-bit integers, float, double.
template <class T>
__device__ __forceinline__ T shuffle_xor(T value, int lane_mask) {
  return __shfl_xor_sync(kFullWarp, value, lane_mask);
}
/// The value of lane `source_lane`.
template <class T>
__device__ __forceinline__ T shuffle(T value, int source_lane) {
  return __shfl_sync(kFullWarp, value, source_lane);
}
/// The value of lane own - delta, or own + delta; where there is none, the own value.
template <class T>
__device__ __forceinline__ T shuffle_up(T value, int delta) {
  return __shfl_up_sync(kFullWarp, value, static_cast<unsigned>(delta));
}
template <class T>
__device__ __forceinline__ T shuffle_down(T value, int delta) {
  return __shfl_down_sync(kFullWarp, value, static_cast<unsigned>(delta));
}

/// Bit i: the predicate of lane i.
__device__ __forceinline__ unsigned ballot(bool predicate) {
  return __ballot_sync(kFullWarp, predicate);
}
__device__ __forceinline__ bool any_in_warp(bool predicate) {
  return __any_sync(kFullWarp, predicate) != 0;
}
__device__ __forceinline__ bool all_in_warp(bool predicate) {
  return __all_sync(kFullWarp, predicate) != 0;
}

/// 2^x within 2 units in the last place; results below the smallest normal number are 0, so -inf
/// gives 0.
__device__ __forceinline__ float exp2_approx(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// Two numbers rounded to nearest even, `low` in the lower half.
template <class T>
__device__ __forceinline__ std::uint32_t pack2(float low, float high) {
  static_assert(std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>);
  std::uint32_t result;
  if constexpr (std::is_same_v<T, bfloat16>) {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  }
  return result;
}
template <class T>
__device__ __forceinline__ float unpack_low(std::uint32_t pair) {
  return to_float(T{static_cast<std::uint16_t>(pair)});
}
template <class T>
__device__ __forceinline__ float unpack_high(std::uint32_t pair) {
  return to_float(T{static_cast<std::uint16_t>(pair >> 16)});
}

/// For work counters. Sums of floating-point numbers never go through atomics: their order, and so
/// their bits, would differ from run to run.
template <class T>
__device__ __forceinline__ T atomic_add(T* address, T value) {
  static_assert(std::is_same_v<T, int> || std::is_same_v<T, unsigned>);
  return atomicAdd(address, value);
}

}  // namespace attnlab::cuda
