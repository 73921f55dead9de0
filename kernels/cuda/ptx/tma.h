// Tiles between global and shared memory by the copy engine (TMA, cp.async.bulk.tensor), sm_90. One
// thread asks for a tile. Elements outside the tensor are read as zeros and not written; a load
// counts the bytes of the whole box.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/ptx/mbarrier.h"

namespace attnlab::cuda {

/// How 16-byte chunks of a tile are permuted in shared memory, so that neither rows nor columns
/// meet in one bank: the bits of the address above the chunk's are XORed into it, over rows of 32,
/// 64 or 128 bytes and 8 rows. Tiles begin at multiples of 256, 512 or 1024 bytes.
enum class Swizzle : std::uint8_t { kNone, k32, k64, k128 };

/// A four-dimensional tensor in global memory and the box of it that one copy moves. Opaque (the
/// bits of a CUtensorMap); kernels take it as `const __grid_constant__ TensorMap`.
struct alignas(64) TensorMap {
  std::array<std::byte, 128> bytes;
};

/// Host side. Innermost dimension first: `sizes` in elements, `strides_bytes` (multiples of 16; the
/// first is not used), `box` in elements (at most 256; the innermost no wider than the swizzle).
/// `global` is 16-byte aligned device memory. Throws DeviceError where the driver refuses.
TensorMap encode_tensor_map(const void* global, DType dtype,
                            const std::array<std::int64_t, 4>& sizes,
                            const std::array<std::int64_t, 4>& strides_bytes,
                            const std::array<int, 4>& box, Swizzle swizzle);

__device__ __forceinline__ void tma_prefetch_map(const TensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/// The box at coordinates c0 (innermost) to c3; its bytes arrive at `barrier`.
__device__ __forceinline__ void tma_load_4d(void* shared, const TensorMap* map, Mbarrier* barrier,
                                            int c0, int c1, int c2, int c3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
      : "memory");
}

/// Writes to `shared` by ordinary stores need fence_proxy_async in the writing threads and a
/// barrier before.
__device__ __forceinline__ void tma_store_4d(const TensorMap* map, const void* shared, int c0,
                                             int c1, int c2, int c3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group "
      "[%0, {%2, %3, %4, %5}], [%1];" ::"l"(map),
      "r"(shared_address(shared)), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
      : "memory");
}

/// Stores of this thread since the last commit form a group.
__device__ __forceinline__ void tma_store_commit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/// Waits until at most kPending of this thread's youngest groups have not read their shared memory.
template <int kPending>
__device__ __forceinline__ void tma_store_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}

/// The same, and have not written global memory.
template <int kPending>
__device__ __forceinline__ void tma_store_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kPending) : "memory");
}

/// Orders this thread's ordinary accesses to shared memory before later ones by the copy engine and
/// by wgmma (of whoever synchronises with it).
__device__ __forceinline__ void fence_proxy_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

}  // namespace attnlab::cuda
