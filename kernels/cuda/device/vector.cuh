// Elements 16 bytes at a time, and conversions between storage and accumulator types.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/core/dispatch.h"
#include "kernels/cuda/ptx.h"

namespace attnlab::cuda {

/// 16 bytes of elements: what one thread moves with one instruction.
template <class T>
struct alignas(16) Vector {
  static constexpr int kSize = 16 / static_cast<int>(sizeof(T));
  T x[kSize];
};

/// `from` and `to` are 16-byte aligned.
template <class T>
__device__ __forceinline__ Vector<T> load_vector(const T* from) {
  return *reinterpret_cast<const Vector<T>*>(from);
}
template <class T>
__device__ __forceinline__ void store_vector(T* to, const Vector<T>& value) {
  *reinterpret_cast<Vector<T>*>(to) = value;
}

template <class T>
__device__ __forceinline__ Accumulator<T> widen(T x) {
  if constexpr (std::is_arithmetic_v<T>) {
    return x;
  } else {
    return to_float(x);
  }
}

template <class T>
__device__ __forceinline__ T narrow(Accumulator<T> x) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    return to_bfloat16(x);
  } else if constexpr (std::is_same_v<T, float16>) {
    return to_float16(x);
  } else {
    return x;
  }
}

/// 2^x; -inf gives 0.
__device__ __forceinline__ float exp2_of(float x) { return exp2_approx(x); }
__device__ __forceinline__ double exp2_of(double x) { return std::exp2(x); }

/// False for NaN and infinities.
template <class T>
__device__ __forceinline__ bool is_finite(T x) {
  return x - x == T(0);
}

}  // namespace attnlab::cuda
