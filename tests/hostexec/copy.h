// Host side of kernels/cuda/ptx/copy.h.
#pragma once

#include "hostexec/thread.h"

namespace attnlab::hostexec {

void copy_async(void* shared, const void* global, int bytes, bool valid, const Site& site);
void commit_copies();
void wait_for_copies(int pending_groups);

}  // namespace attnlab::hostexec

namespace attnlab::cuda {

template <int kBytes>
void copy_async(void* shared, const void* global, bool valid,
                const hostexec::Site& site = hostexec::Site::current()) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  hostexec::copy_async(shared, global, kBytes, valid, site);
}
inline void copy_async_commit() { hostexec::commit_copies(); }
template <int kPending>
void copy_async_wait() {
  hostexec::wait_for_copies(kPending);
}

}  // namespace attnlab::cuda
