// Who a thread is, the block's shared memory, and barriers of a block. Blocks are one-dimensional.
#pragma once

#include <cstddef>
#include <cstdint>

namespace attnlab::cuda {

__device__ __forceinline__ int thread_idx() { return static_cast<int>(threadIdx.x); }
__device__ __forceinline__ int block_dim() { return static_cast<int>(blockDim.x); }
__device__ __forceinline__ int lane_idx() { return thread_idx() & 31; }
__device__ __forceinline__ int warp_idx() { return thread_idx() >> 5; }

__device__ __forceinline__ int block_idx_x() { return static_cast<int>(blockIdx.x); }
__device__ __forceinline__ int block_idx_y() { return static_cast<int>(blockIdx.y); }
__device__ __forceinline__ int block_idx_z() { return static_cast<int>(blockIdx.z); }
__device__ __forceinline__ int grid_dim_x() { return static_cast<int>(gridDim.x); }
__device__ __forceinline__ int grid_dim_y() { return static_cast<int>(gridDim.y); }
__device__ __forceinline__ int grid_dim_z() { return static_cast<int>(gridDim.z); }

/// The dynamic shared memory of the block, 1024-byte aligned: the only shared memory that kernels
/// use. Its size is LaunchConfig::shared_bytes; its contents are undefined at the start.
__device__ __forceinline__ std::byte* shared_memory() {
  extern __shared__ __align__(1024) unsigned char attnlab_shared_memory[];
  return reinterpret_cast<std::byte*>(attnlab_shared_memory);
}

/// Barrier of the whole block; orders its memory accesses.
__device__ __forceinline__ void sync_threads() { __syncthreads(); }
/// The same, and whether any thread brought `true`.
__device__ __forceinline__ bool sync_threads_or(bool value) { return __syncthreads_or(value) != 0; }
/// The same, and how many threads brought `true`.
__device__ __forceinline__ int sync_threads_count(bool value) { return __syncthreads_count(value); }

/// Barrier `id` (1 to 15; 0 is sync_threads) of `threads` threads, a multiple of 32: whole warps
/// wait, or arrive without waiting.
__device__ __forceinline__ void named_barrier_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ __forceinline__ void named_barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace attnlab::cuda
