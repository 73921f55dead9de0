// Asynchronous copies from global to shared memory (cp.async), sm_80 and later. Copies between two
// commits form a group; a thread waits for its own groups only, so a barrier must follow before
// other threads read what it copied.
#pragma once

#include <cstdint>

#include "kernels/cuda/ptx/mma.h"

namespace attnlab::cuda {

/// Copies kBytes (4, 8, 16; both addresses aligned to it). Where not `valid`, zeros are written and
/// `global` is not read, though it must be an address.
template <int kBytes>
__device__ __forceinline__ void copy_async(void* shared, const void* global, bool valid) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  const int source_bytes = valid ? kBytes : 0;
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(global), "r"(source_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)),
                 "l"(global), "n"(kBytes), "r"(source_bytes)
                 : "memory");
  }
}

__device__ __forceinline__ void copy_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Waits until at most kPending of the youngest groups of this thread are unfinished.
template <int kPending>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace attnlab::cuda
