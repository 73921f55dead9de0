// Executes kernels on the host: blocks one after another, one fiber per thread, switched only where
// a thread waits. Which thread runs next, and when asynchronous operations complete, is chosen by a
// Schedule, so that orders which hardware shows rarely can be asked for.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "hostexec/fault.h"

namespace attnlab::hostexec {

enum class Order {
  kInOrder,   ///< warps take turns; a turn ends where every lane waits
  kReverse,   ///< the same, from the last warp and lane to the first
  kRandom,    ///< a random warp, its lanes in random order
  kRunAhead,  ///< one warp runs as far as it can before any other does; which one is drawn
};

/// When an asynchronous operation that is not yet waited for takes effect.
enum class Completion { kEarliest, kLatest, kRandom };

struct Schedule {
  Order order = Order::kInOrder;
  Completion completion = Completion::kLatest;
  unsigned seed = 0;
};

/// For the launches that follow.
void set_schedule(const Schedule& schedule);
const Schedule& schedule();

struct Extent {
  int x = 1;
  int y = 1;
  int z = 1;
};

/// A launch without types: every thread of every block calls body(argument).
struct KernelCall {
  const void* kernel = nullptr;  ///< for its name
  Extent grid;
  int threads = 0;
  int shared_bytes = 0;
  void (*body)(void*) = nullptr;
  void* argument = nullptr;
};

/// Returns when all blocks have ended. Throws KernelFault.
void run_kernel(const KernelCall& call);

/// True inside a kernel's thread.
bool in_kernel();

/// The thread that runs, its block and the block's shared memory.
struct Position {
  int thread = 0;
  Extent block;
  Extent grid;
  int threads = 0;
  std::byte* shared = nullptr;
  int shared_bytes = 0;
};
const Position& position();

/// While one exists, accesses to memory are the emulator's and are not checked.
class Unwatched {
 public:
  Unwatched();
  ~Unwatched();
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;

 private:
  bool previous_;
};

/// The thread that runs waits until `ready()`; `what` appears in reports of deadlocks.
void wait_until(const std::function<bool()>& ready, const std::string& what, const Site& site);

/// Lets an operation happen at a time that the schedule chooses: at once, at some later switch of
/// threads, or only when no thread can run without it.
void post(std::function<void()> operation);

/// Runs when the last thread of the current block has ended without a fault. What is unfinished
/// then may still fail().
void at_block_end(std::function<void()> check);

/// Per-block state of a family of operations: null at the start of a block, released after its end.
std::shared_ptr<void>& block_extension();

/// True with the given probability; for decisions of Completion::kRandom.
bool draw(double probability);

/// All 32 lanes of a warp come here; `operation` gets what each brought, runs once, and then all go
/// on. Orders no memory accesses. `name` and `site` have to be the same for all lanes.
void warp_collective(const char* name, void* operands, void (*operation)(void* const* lanes),
                     const Site& site);

enum class Barrier { kSync, kOr, kCount };

/// Waits for `threads` threads at barrier `id`; returns the sum of their values.
int barrier_sync(int id, int threads, Barrier kind, int value, const Site& site);
void barrier_arrive(int id, int threads, const Site& site);
void warp_barrier(const Site& site);

}  // namespace attnlab::hostexec
