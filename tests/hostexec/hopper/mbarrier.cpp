#include "hostexec/hopper/mbarrier.h"

#include "hostexec/hopper/block.h"

namespace attnlab::hostexec {
namespace {

constexpr int kMaxArrivals = (1 << 20) - 1;
constexpr int kMaxBytes = (1 << 20) - 1;
constexpr int kBarrierBytes = 8;

std::string name(int offset) { return "mbarrier at offset " + std::to_string(offset); }

void complete_phase(MbarrierState& barrier) {
  if (barrier.pending != 0 || barrier.missing_bytes != 0) return;
  barrier.pending = barrier.arrivals;
  ++barrier.phase;
  barrier.completed = barrier.arriving;
}

}  // namespace

MbarrierState& find_barrier(HopperBlock& block, const void* pointer, int& offset,
                            const Site& site) {
  offset = shared_offset(pointer, kBarrierBytes, kBarrierBytes, "an mbarrier", site);
  const auto entry = block.barriers.find(offset);
  if (entry == block.barriers.end()) fail_at(site, name(offset) + " was not initialised");
  return entry->second;
}

void mbarrier_init(const void* barrier, int arrivals, const Site& site) {
  const Unwatched pause;
  const auto block = hopper_block();
  const int offset = shared_offset(barrier, kBarrierBytes, kBarrierBytes, "an mbarrier", site);
  if (arrivals < 1 || arrivals > kMaxArrivals) {
    fail_at(site, name(offset) + " with " + std::to_string(arrivals) + " arrivals; allowed: 1 to " +
                      std::to_string(kMaxArrivals));
  }
  if (block->barriers.contains(offset)) fail_at(site, name(offset) + " is initialised twice");
  check_access(barrier, kBarrierBytes, kBarrierBytes, Access::kWrite, Where(site));
  block->barriers.emplace(offset, arrivals);
}

void mbarrier_arrive(const void* barrier, int expected_bytes, const Site& site) {
  const Unwatched pause;
  const auto block = hopper_block();
  int offset = 0;
  MbarrierState& state = find_barrier(*block, barrier, offset, site);
  check_access(barrier, kBarrierBytes, kBarrierBytes, Access::kRead, Where(site));
  if (expected_bytes < 0 || state.missing_bytes + expected_bytes > kMaxBytes) {
    fail_at(site, name(offset) + " cannot expect " + std::to_string(expected_bytes) +
                      " further bytes; allowed: up to " + std::to_string(kMaxBytes) + " in all");
  }
  if (state.pending == 0) {
    fail_at(site, name(offset) + ": more than " + std::to_string(state.arrivals) +
                      " arrivals in phase " + std::to_string(state.phase));
  }
  release_to(state.arriving);
  state.missing_bytes += expected_bytes;
  --state.pending;
  if (state.pending == 0 && state.missing_bytes < 0) {
    fail_at(site, name(offset) + ": " + std::to_string(-state.missing_bytes) +
                      " bytes more than expected arrived in phase " + std::to_string(state.phase));
  }
  complete_phase(state);
}

void complete_bytes(HopperBlock& block, int barrier, int phase, int bytes, const Site& site) {
  MbarrierState& state = block.barriers.at(barrier);
  state.missing_bytes -= bytes;
  const bool excess = state.pending == 0 && state.missing_bytes < 0;
  if (state.phase != phase || excess) {
    fail_at(site, name(barrier) + ": a tile of " + std::to_string(bytes) +
                      " bytes was not expected by its phase, " + std::to_string(phase));
  }
  complete_phase(state);
}

void mbarrier_wait(const void* barrier, int parity, const Site& site) {
  const Unwatched pause;
  const auto block = hopper_block();
  int offset = 0;
  const MbarrierState& state = find_barrier(*block, barrier, offset, site);
  check_access(barrier, kBarrierBytes, kBarrierBytes, Access::kRead, Where(site));
  if (parity != 0 && parity != 1) {
    fail_at(site, name(offset) + ": parity " + std::to_string(parity) + "; allowed: 0, 1");
  }
  wait_until([&state, parity] { return state.phase % 2 != parity; },
             "parity " + std::to_string(parity) + " of the " + name(offset), site);
  acquire_from(state.completed);
}

void fence_proxy_async(const Site&) {
  const Unwatched pause;
  fence_to_async_proxy();
}

}  // namespace attnlab::hostexec
