// Stacks of threads and switches between them.
#pragma once

#include <cstdint>

namespace attnlab::hostexec {

using Context = void*;

/// True for addresses on the stack of a thread.
bool on_thread_stack(std::uintptr_t address);

/// A context that runs `entry` (which must not return) on the stack of `thread` when switched to.
Context make_context(int thread, void (*entry)());
/// Continues `to`; `from` receives where to continue the caller.
void switch_context(Context& from, Context to);

}  // namespace attnlab::hostexec
