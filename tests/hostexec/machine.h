// The state of a launch: threads, warps, barriers. For the .cpp files of the emulator only.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "hostexec/fibers.h"
#include "hostexec/race.h"
#include "hostexec/scheduler.h"

namespace attnlab::hostexec {

inline constexpr int kWarp = 32;
inline constexpr int kMaxThreads = 1024;
inline constexpr int kBarriers = 16;

enum class State : std::uint8_t { kReady, kCollective, kBarrier, kPredicate, kEnded };

/// One cp.async of 4, 8 or 16 bytes.
struct AsyncCopy {
  std::byte* shared;
  const std::byte* global;
  int bytes;
  bool valid;
  bool landed;
  Site site;
};

struct Thread {
  State state = State::kReady;
  Context context = nullptr;
  std::string what;  ///< what it waits for
  Site site;
  void* operands = nullptr;  ///< of a warp collective
  int barrier = 0;
  int result = 0;
  std::function<bool()> ready;
  std::vector<std::vector<AsyncCopy>> groups;  ///< of cp.async, oldest first, not waited for
  std::vector<AsyncCopy> open_group;
};

struct Warp {
  std::uint32_t runnable = ~0u;  ///< lanes that are ready
  std::uint32_t polling = 0;     ///< lanes that wait for a predicate
  int arrived = 0;               ///< lanes at the current collective
  const char* collective = nullptr;
  Site site;
};

struct BarrierState {
  int expected = 0;  ///< 0: nobody has come yet
  int arrived = 0;
  int sum = 0;
  Barrier kind = Barrier::kSync;
  std::vector<int> waiting;
  Clock clock;
};

struct Machine {
  Schedule schedule;
  std::mt19937 random;
  KernelCall call;
  Position position;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::array<BarrierState, kBarriers> barriers;
  std::vector<std::function<void()>> posted;
  std::vector<std::function<void()>> at_end;  ///< of the block
  std::shared_ptr<void> extension;
  std::vector<int> priority;  ///< of warps, for Order::kRunAhead
  Context scheduler = nullptr;
  int ended = 0;
  int last_warp = -1;
  bool inside = false;  ///< a thread runs
  bool failed = false;
  std::string failure;

  Thread& current() { return threads[static_cast<std::size_t>(position.thread)]; }
  Warp& warp_of(int thread) { return warps[static_cast<std::size_t>(thread / kWarp)]; }
};
extern Machine the_machine;
inline Machine& machine() { return the_machine; }

/// Accesses to memory are those of a kernel's thread, and checked.
extern bool watching;

/// Runs block `index` of the launch, whose position is set, to its end or first fault.
void run_block(int index);

/// Hands over to the scheduler; returns when the thread is made ready.
void wait_here(State state, std::string_view what, const Site& site);
void make_ready(int thread);

/// "kernel f, block (0, 1, 0), thread 37 (warp 1, lane 5)".
std::string describe_position();
/// Who waits for what, where.
std::string describe_waiting();
/// Name of a function from its address.
std::string symbol_of(const void* function);
/// "file:line" of an instruction, with the calls that were inlined around it: "a.h:3 < b.cuh:5".
std::string line_of(const void* instruction);

}  // namespace attnlab::hostexec
