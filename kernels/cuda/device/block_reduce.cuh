// Sum and maximum over a block, for every thread of it: CUB's reduction in the library; in the host
// execution model, which cannot run CUB, the same two levels of shuffles.
#pragma once

#include <cstddef>

#include "kernels/cuda/ptx.h"

#if !defined(ATTNLAB_HOSTEXEC)
#include <cub/block/block_reduce.cuh>
#endif

namespace attnlab::cuda {

struct SumOf {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};

/// A NaN is passed over.
struct MaxOf {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return b > a ? b : a;
  }
};

/// Shared memory that block_reduce needs, 16-byte aligned.
inline constexpr int kBlockReduceBytes = 512;

/// All kThreads threads of the block take part; `scratch` may be used again at once. The order is
/// fixed: the same bits in every run.
template <int kThreads, class T, class Op>
__device__ __forceinline__ T block_reduce(T value, Op op, std::byte* scratch) {
  static_assert(kThreads % 32 == 0 && kThreads <= 1024);
  T* const result = reinterpret_cast<T*>(scratch);
#if defined(ATTNLAB_HOSTEXEC)
  for (int delta = 16; delta > 0; delta /= 2) value = op(value, shuffle_xor(value, delta));
  T* const of_warps = result + 2;
  if (lane_idx() == 0) of_warps[warp_idx()] = value;
  sync_threads();
  for (int warp = 0; warp < kThreads / 32; ++warp) {
    value = warp == 0 ? of_warps[0] : op(value, of_warps[warp]);
  }
#else
  using Reduce = cub::BlockReduce<T, kThreads>;
  static_assert(sizeof(typename Reduce::TempStorage) + 16 <= kBlockReduceBytes);
  value = Reduce(*reinterpret_cast<typename Reduce::TempStorage*>(scratch + 16)).Reduce(value, op);
#endif
  // The whole result is known to the first thread.
  if (thread_idx() == 0) *result = value;
  sync_threads();
  value = *result;
  sync_threads();
  return value;
}

}  // namespace attnlab::cuda
