// Host side of kernels/cuda/ptx/thread.h.
#pragma once

#include "hostexec/keywords.h"
#include "hostexec/scheduler.h"

namespace attnlab::cuda {

inline int thread_idx() { return hostexec::position().thread; }
inline int block_dim() { return hostexec::position().threads; }
inline int lane_idx() { return thread_idx() & 31; }
inline int warp_idx() { return thread_idx() >> 5; }

inline int block_idx_x() { return hostexec::position().block.x; }
inline int block_idx_y() { return hostexec::position().block.y; }
inline int block_idx_z() { return hostexec::position().block.z; }
inline int grid_dim_x() { return hostexec::position().grid.x; }
inline int grid_dim_y() { return hostexec::position().grid.y; }
inline int grid_dim_z() { return hostexec::position().grid.z; }

inline std::byte* shared_memory() { return hostexec::position().shared; }

inline void sync_threads(const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::barrier_sync(0, block_dim(), hostexec::Barrier::kSync, 0, site);
}
inline bool sync_threads_or(bool value, const hostexec::Site& site = hostexec::Site::current()) {
  return hostexec::barrier_sync(0, block_dim(), hostexec::Barrier::kOr, value ? 1 : 0, site) != 0;
}
inline int sync_threads_count(bool value, const hostexec::Site& site = hostexec::Site::current()) {
  return hostexec::barrier_sync(0, block_dim(), hostexec::Barrier::kCount, value ? 1 : 0, site);
}

inline void named_barrier_sync(int id, int threads,
                               const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::barrier_sync(id, threads, hostexec::Barrier::kSync, 0, site);
}
inline void named_barrier_arrive(int id, int threads,
                                 const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::barrier_arrive(id, threads, site);
}

}  // namespace attnlab::cuda
