#include "hostexec/fibers.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <new>

namespace attnlab::hostexec {
namespace {

namespace context = boost::context::detail;

constexpr std::size_t kGuard = 4096;

/// Address space for every thread of the largest block; pages are touched where they are used.
std::uintptr_t reserve_stacks() {
  void* const memory = mmap(nullptr, kAllStacksBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* const start = static_cast<std::byte*>(memory);
  for (std::uintptr_t i = 0; i < kAllStacksBytes; i += kStackBytes) {
    mprotect(start + i, kGuard, PROT_NONE);
  }
  return reinterpret_cast<std::uintptr_t>(start);
}

/// Where the context that switched here goes on, and the slot that wants to know.
void keep(context::transfer_t transfer) { *static_cast<Context*>(transfer.data) = transfer.fctx; }

void (*thread_entry)() = nullptr;

void start(context::transfer_t transfer) {
  keep(transfer);
  thread_entry();
}

}  // namespace

const std::uintptr_t stacks_begin = reserve_stacks();

Context make_context(int thread, void (*entry)()) {
  thread_entry = entry;
  const std::uintptr_t top = stacks_begin + (static_cast<std::uintptr_t>(thread) + 1) * kStackBytes;
  return context::make_fcontext(reinterpret_cast<void*>(top), kStackBytes - kGuard, start);
}

void switch_context(Context& from, Context to) { keep(context::jump_fcontext(to, &from)); }

}  // namespace attnlab::hostexec
