// Barriers of a block, by number.
#include "hostexec/machine.h"

namespace attnlab::hostexec {
namespace {

const char* name_of(int id, Barrier kind) {
  if (id != 0) return "named_barrier_sync";
  switch (kind) {
    case Barrier::kSync: return "sync_threads";
    case Barrier::kOr: return "sync_threads_or";
    case Barrier::kCount: return "sync_threads_count";
  }
  return "";
}

/// Counts the thread in; true where it is the last one.
bool arrive(BarrierState& barrier, int id, int threads, Barrier kind, int value, const Site& site) {
  const auto where = [&] {
    return std::string(name_of(id, kind)) + " of barrier " + std::to_string(id) + " at " +
           describe(site) + ": ";
  };
  const Machine& m = machine();
  if (id < 0 || id >= kBarriers) fail(where() + "barriers are 0 to 15");
  if (threads < kWarp || threads % kWarp != 0 || threads > m.call.threads) {
    fail(where() + std::to_string(threads) +
         " threads; allowed: multiples of 32 up to the block's " + std::to_string(m.call.threads));
  }
  if (barrier.expected != 0 && (barrier.expected != threads || barrier.kind != kind)) {
    fail(where() + std::to_string(threads) + " threads, but others brought " +
         name_of(id, barrier.kind) + " of " + std::to_string(barrier.expected));
  }
  barrier.expected = threads;
  barrier.kind = kind;
  barrier.sum += value;
  release_to(barrier.clock);
  return ++barrier.arrived == threads;
}

void complete(BarrierState& barrier) {
  for (const int thread : barrier.waiting) {
    machine().threads[static_cast<std::size_t>(thread)].result = barrier.sum;
    acquire_from(thread, barrier.clock);
    make_ready(thread);
  }
  barrier.expected = barrier.arrived = barrier.sum = 0;
  barrier.waiting.clear();
  barrier.clock.clear();
}

}  // namespace

int barrier_sync(int id, int threads, Barrier kind, int value, const Site& site) {
  const Unwatched pause;
  Machine& m = machine();
  BarrierState& barrier = m.barriers[static_cast<std::size_t>(id) % kBarriers];
  if (arrive(barrier, id, threads, kind, value, site)) {
    const int sum = barrier.sum;
    acquire_from(barrier.clock);
    complete(barrier);
    return sum;
  }
  barrier.waiting.push_back(m.position.thread);
  wait_here(State::kBarrier, name_of(id, kind), site);
  return m.current().result;
}

void barrier_arrive(int id, int threads, const Site& site) {
  const Unwatched pause;
  BarrierState& barrier = machine().barriers[static_cast<std::size_t>(id) % kBarriers];
  if (arrive(barrier, id, threads, Barrier::kSync, 0, site)) complete(barrier);
}

}  // namespace attnlab::hostexec
