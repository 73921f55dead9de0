// Stacks of threads and switches between them.
#pragma once

#include <cstdint>

namespace attnlab::hostexec {

using Context = void*;

/// The stacks of all threads lie side by side.
inline constexpr std::uintptr_t kStackBytes = 256 * 1024;
inline constexpr std::uintptr_t kAllStacksBytes = 1024 * kStackBytes;
extern const std::uintptr_t stacks_begin;

/// True for addresses on the stack of a thread.
inline bool on_thread_stack(std::uintptr_t address) {
  return address - stacks_begin < kAllStacksBytes;
}

/// A context that runs `entry` (which must not return) on the stack of `thread` when switched to.
Context make_context(int thread, void (*entry)());
/// Continues `to`; `from` receives where to continue the caller.
void switch_context(Context& from, Context to);

}  // namespace attnlab::hostexec
