// Host side of kernels/cuda/ptx/tma.h.
#pragma once

#include <array>

#include "hostexec/hopper/mbarrier.h"
#include "hostexec/hopper/tensor_map.h"

namespace attnlab::hostexec {

using TileCoordinates = std::array<int, 4>;

void tma_load(void* shared, const cuda::TensorMap* map, const void* barrier,
              const TileCoordinates& at, const Site& site);
void tma_store(const cuda::TensorMap* map, const void* shared, const TileCoordinates& at,
               const Site& site);
void tma_store_commit(const Site& site);
/// `written`: not only until shared memory has been read.
void tma_store_wait(int pending_groups, bool written, const Site& site);
void check_tensor_map(const cuda::TensorMap* map, const Site& site);

}  // namespace attnlab::hostexec

namespace attnlab::cuda {

inline void tma_prefetch_map(const TensorMap* map,
                             const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::check_tensor_map(map, site);
}
inline void tma_load_4d(void* shared, const TensorMap* map, Mbarrier* barrier, int c0, int c1,
                        int c2, int c3, const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::tma_load(shared, map, barrier, {c0, c1, c2, c3}, site);
}
inline void tma_store_4d(const TensorMap* map, const void* shared, int c0, int c1, int c2, int c3,
                         const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::tma_store(map, shared, {c0, c1, c2, c3}, site);
}
inline void tma_store_commit(const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::tma_store_commit(site);
}
template <int kPending>
void tma_store_wait_read(const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::tma_store_wait(kPending, false, site);
}
template <int kPending>
void tma_store_wait(const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::tma_store_wait(kPending, true, site);
}
inline void fence_proxy_async(const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::fence_proxy_async(site);
}

}  // namespace attnlab::cuda
