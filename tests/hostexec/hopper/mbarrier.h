// Host side of kernels/cuda/ptx/mbarrier.h.
#pragma once

#include <cstdint>

#include "hostexec/scheduler.h"

namespace attnlab::hostexec {

void mbarrier_init(const void* barrier, int arrivals, const Site& site);
void mbarrier_arrive(const void* barrier, int expected_bytes, const Site& site);
void mbarrier_wait(const void* barrier, int parity, const Site& site);
void fence_proxy_async(const Site& site);

}  // namespace attnlab::hostexec

namespace attnlab::cuda {

/// Only its place in shared memory counts: the state is the emulator's.
struct Mbarrier {
  std::uint64_t state;
};

inline void mbarrier_init(Mbarrier* barrier, int arrivals,
                          const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::mbarrier_init(barrier, arrivals, site);
}
inline void mbarrier_init_fence(const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::fence_proxy_async(site);
}
inline void mbarrier_arrive(Mbarrier* barrier,
                            const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::mbarrier_arrive(barrier, 0, site);
}
inline void mbarrier_arrive_expect(Mbarrier* barrier, int bytes,
                                   const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::mbarrier_arrive(barrier, bytes, site);
}
inline void mbarrier_wait(Mbarrier* barrier, int parity,
                          const hostexec::Site& site = hostexec::Site::current()) {
  hostexec::mbarrier_wait(barrier, parity, site);
}

}  // namespace attnlab::cuda
