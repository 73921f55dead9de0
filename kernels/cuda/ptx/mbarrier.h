// Barriers in shared memory that count arrivals of threads and bytes of asynchronous copies
// (mbarrier), sm_90. A phase completes when both are complete; the next phase, of the other parity,
// begins at once. The first phase has parity 0.
#pragma once

#include <cstdint>

#include "kernels/cuda/ptx/mma.h"

namespace attnlab::cuda {

/// Lives in shared memory.
struct Mbarrier {
  std::uint64_t state;
};

/// By one thread, before any other use; every phase expects `arrivals` arrivals.
__device__ __forceinline__ void mbarrier_init(Mbarrier* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
}

/// After the last mbarrier_init of a thread, before a barrier of the block: lets the copy engine
/// see the initialised barriers.
__device__ __forceinline__ void mbarrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// One arrival; what the thread did before is visible to whoever waits for the phase.
__device__ __forceinline__ void mbarrier_arrive(Mbarrier* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}

/// One arrival that also announces `bytes` of copies to come in this phase.
__device__ __forceinline__ void mbarrier_arrive_expect(Mbarrier* barrier, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}

/// Returns when the current or the last phase, whichever has this parity, has completed. On a fresh
/// barrier, parity 1 returns at once.
__device__ __forceinline__ void mbarrier_wait(Mbarrier* barrier, int parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}

}  // namespace attnlab::cuda
