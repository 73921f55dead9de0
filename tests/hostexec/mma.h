// Host side of kernels/cuda/ptx/mma.h.
#pragma once

#include <cstdint>
#include <type_traits>

#include "hostexec/warp.h"

namespace attnlab::hostexec {

/// What one lane brings to mma.m16n8k16.
struct MmaOperands {
  float* d;
  const std::uint32_t* a;
  const std::uint32_t* b;
};
void multiply_bfloat16(MmaOperands own, const Site& site);
void multiply_float16(MmaOperands own, const Site& site);
/// `matrices`: 2 or 4.
void load_matrices(std::uint32_t* registers, const void* row, int matrices, bool transposed,
                   const Site& site);
void store_matrices(void* row, const std::uint32_t* registers, const Site& site);

}  // namespace attnlab::hostexec

namespace attnlab::cuda {

template <class T>
void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                  const hostexec::Site& site = hostexec::Site::current()) {
  static_assert(std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>);
  if constexpr (std::is_same_v<T, bfloat16>) {
    hostexec::multiply_bfloat16({d, a, b}, site);
  } else {
    hostexec::multiply_float16({d, a, b}, site);
  }
}

inline void load_matrix_x4(std::uint32_t (&r)[4], const void* shared_row,
                           const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::load_matrices(r, shared_row, 4, false, site);
}
inline void load_matrix_x4_transposed(std::uint32_t (&r)[4], const void* shared_row,
                                      const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::load_matrices(r, shared_row, 4, true, site);
}
inline void load_matrix_x2(std::uint32_t (&r)[2], const void* shared_row,
                           const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::load_matrices(r, shared_row, 2, false, site);
}
inline void load_matrix_x2_transposed(std::uint32_t (&r)[2], const void* shared_row,
                                      const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::load_matrices(r, shared_row, 2, true, site);
}
inline void store_matrix_x4(void* shared_row, const std::uint32_t (&r)[4],
                            const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::store_matrices(shared_row, r, site);
}

}  // namespace attnlab::cuda
