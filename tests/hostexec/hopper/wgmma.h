// Host side of kernels/cuda/ptx/wgmma.h.
#pragma once

#include <cstdint>
#include <type_traits>

#include "hostexec/hopper/tma.h"
#include "hostexec/warp.h"
#include "kernels/core/dtype.h"

namespace attnlab::hostexec {

/// What one thread brings to a product of its warpgroup. The arrays are the thread's own and have
/// to exist, untouched, until the wait.
struct WgmmaOperands {
  DType dtype = DType::kBFloat16;
  int columns = 0;
  bool transpose_b = false;
  bool accumulate = false;
  float* d = nullptr;                ///< columns / 2
  const std::uint32_t* a = nullptr;  ///< 4, or null for A in shared memory
  std::uint64_t a_descriptor = 0;
  std::uint64_t b_descriptor = 0;
};
void wgmma(const WgmmaOperands& operands, const Site& site);
void wgmma_fence(const Site& site);
void wgmma_commit(const Site& site);
void wgmma_wait(int pending_groups, const Site& site);
std::uint64_t shared_descriptor(const void* shared, int leading_bytes, int stride_bytes,
                                Swizzle swizzle, const Site& site);
void set_registers(int count, bool raise, const Site& site);
bool elect_one(const Site& site);

/// Also checks the types and shapes that the instruction has.
template <class T, int N>
constexpr DType wgmma_type() {
  static_assert(std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>);
  static_assert(N % 8 == 0 && N >= 8 && N <= 256);
  return std::is_same_v<T, bfloat16> ? DType::kBFloat16 : DType::kFloat16;
}

}  // namespace attnlab::hostexec

namespace attnlab::cuda {

inline std::uint64_t shared_descriptor(const void* shared, int leading_bytes, int stride_bytes,
                                       Swizzle swizzle,
                                       const hostexec::Site& site = hostexec::Site::current()) {
  return hostexec::shared_descriptor(shared, leading_bytes, stride_bytes, swizzle, site);
}

inline void wgmma_fence(const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::wgmma_fence(site);
}
inline void wgmma_commit(const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::wgmma_commit(site);
}
template <int kPending>
void wgmma_wait(const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::wgmma_wait(kPending, site);
}

template <class T, int N, bool kTransposeB>
void wgmma_m64k16(float (&d)[N / 2], std::uint64_t a_descriptor, std::uint64_t b_descriptor,
                  bool accumulate, const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::wgmma({hostexec::wgmma_type<T, N>(), N, kTransposeB, accumulate, d, nullptr,
                   a_descriptor, b_descriptor},
                  site);
}
template <class T, int N, bool kTransposeB>
void wgmma_m64k16(float (&d)[N / 2], const std::uint32_t (&a)[4], std::uint64_t b_descriptor,
                  bool accumulate, const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::wgmma({hostexec::wgmma_type<T, N>(), N, kTransposeB, accumulate, d, a, 0, b_descriptor},
                  site);
}

template <int kCount>
void keep_accumulators(float (&)[kCount]) {}

template <int kCount>
void raise_registers(const hostexec::Site& site = hostexec::Site::current()) {
  static_assert(kCount % 8 == 0 && kCount >= 24 && kCount <= 256);
  hostexec::set_registers(kCount, true, site);
}
template <int kCount>
void lower_registers(const hostexec::Site& site = hostexec::Site::current()) {
  static_assert(kCount % 8 == 0 && kCount >= 24 && kCount <= 256);
  hostexec::set_registers(kCount, false, site);
}

inline bool elect_one(const hostexec::Site& site = hostexec::Site::current()) {
  return hostexec::elect_one(site);
}

}  // namespace attnlab::cuda
