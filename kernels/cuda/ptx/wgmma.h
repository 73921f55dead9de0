// Asynchronous matrix products of a warpgroup (wgmma): four warps, the first one's index a multiple
// of 4, all taking part in every call; sm_90a. Warp w of the group holds rows 16w to 16w+15 of the
// accumulators and of A fragments; within them the layout is that of mma.h: lane 4g+t has
//   d[4j], d[4j+1]: row g, columns 8j+2t, 8j+2t+1; d[4j+2], d[4j+3]: row g+8, same columns
// and two neighbouring column groups j, packed to 16 bits, are the A fragment of k = 16.
#pragma once

#include <cstdint>

#include "kernels/cuda/ptx/tma.h"
#include "kernels/cuda/ptx/wgmma_instruction.h"

namespace attnlab::cuda {

/// Where an operand lies in shared memory, rows of 16-bit elements swizzled. Contiguous along k:
/// `stride_bytes` from 8 rows to the next 8, `leading_bytes` unused with a swizzle. Contiguous
/// along the other dimension (transposed): `leading_bytes` from one width of the swizzle to the
/// next, `stride_bytes` from 8 values of k to the next 8.
__device__ __forceinline__ std::uint64_t shared_descriptor(const void* shared, int leading_bytes,
                                                           int stride_bytes, Swizzle swizzle) {
  const auto field = [](std::uint32_t bytes) {
    return static_cast<std::uint64_t>((bytes & 0x3ffffu) >> 4);
  };
  const std::uint64_t mode = (4u - static_cast<unsigned>(swizzle)) & 3u;
  return field(shared_address(shared)) | field(static_cast<std::uint32_t>(leading_bytes)) << 16 |
         field(static_cast<std::uint32_t>(stride_bytes)) << 32 | mode << 62;
}

/// Before the first product, and before the next one whenever accumulators or A fragments have been
/// written by other instructions.
__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

/// Products since the last commit form a group.
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/// Waits until at most kPending of the youngest groups are unfinished. Until then neither their
/// accumulators nor their A fragments may be touched, nor their shared memory be overwritten.
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/// d (+)= a * b: 64 x N from 64 x 16 and 16 x N, T = bfloat16 or float16, float32 accumulators;
/// without `accumulate` the old d is not read. A from shared memory (contiguous along k) or
/// registers; B from shared memory, contiguous along k or, with kTransposeB, along N.
template <class T, int N, bool kTransposeB>
__device__ __forceinline__ void wgmma_m64k16(float (&d)[N / 2], std::uint64_t a_descriptor,
                                             std::uint64_t b_descriptor, bool accumulate) {
  wgmma_instruction::from_shared<T, N, kTransposeB>(d, a_descriptor, b_descriptor, accumulate);
}
template <class T, int N, bool kTransposeB>
__device__ __forceinline__ void wgmma_m64k16(float (&d)[N / 2], const std::uint32_t (&a)[4],
                                             std::uint64_t b_descriptor, bool accumulate) {
  wgmma_instruction::from_registers<T, N, kTransposeB>(d, a, b_descriptor, accumulate);
}

/// No instruction: keeps the compiler from moving uses of accumulators across a wait, which does
/// not name them.
template <int kCount>
__device__ __forceinline__ void keep_accumulators(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

/// Moves registers between warpgroups (setmaxnreg): each thread of this group has kCount from now
/// on, a multiple of 8 from 24 to 256. Raising waits until other groups have given up enough.
template <int kCount>
__device__ __forceinline__ void raise_registers() {
  static_assert(kCount % 8 == 0 && kCount >= 24 && kCount <= 256);
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
__device__ __forceinline__ void lower_registers() {
  static_assert(kCount % 8 == 0 && kCount >= 24 && kCount <= 256);
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}

/// True in one lane of the warp, the same one at every call.
__device__ __forceinline__ bool elect_one() {
  std::uint32_t elected;
  asm volatile(
      "{\n"
      ".reg .pred chosen;\n"
      "elect.sync _|chosen, 0xffffffff;\n"
      "selp.u32 %0, 1, 0, chosen;\n"
      "}"
      : "=r"(elected));
  return elected != 0;
}

}  // namespace attnlab::cuda
