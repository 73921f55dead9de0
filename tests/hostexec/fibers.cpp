#include "hostexec/fibers.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <new>

#include "hostexec/machine.h"

namespace attnlab::hostexec {
namespace {

namespace context = boost::context::detail;

constexpr std::size_t kGuard = 4096;
constexpr std::size_t kStack = 256 * 1024;

/// Address space for every thread of the largest block; pages are touched where they are used.
std::byte* stacks() {
  static std::byte* const all = [] {
    void* const memory = mmap(nullptr, kStack * kMaxThreads, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    auto* const start = static_cast<std::byte*>(memory);
    for (std::size_t i = 0; i < kMaxThreads; ++i) mprotect(start + i * kStack, kGuard, PROT_NONE);
    return start;
  }();
  return all;
}

/// Where the context that switched here goes on, and the slot that wants to know.
void keep(context::transfer_t transfer) { *static_cast<Context*>(transfer.data) = transfer.fctx; }

void (*thread_entry)() = nullptr;

void start(context::transfer_t transfer) {
  keep(transfer);
  thread_entry();
}

}  // namespace

bool on_thread_stack(std::uintptr_t address) {
  static const auto begin = reinterpret_cast<std::uintptr_t>(stacks());
  return address - begin < kStack * kMaxThreads;
}

Context make_context(int thread, void (*entry)()) {
  thread_entry = entry;
  std::byte* const top = stacks() + (static_cast<std::size_t>(thread) + 1) * kStack;
  return context::make_fcontext(top, kStack - kGuard, start);
}

void switch_context(Context& from, Context to) { keep(context::jump_fcontext(to, &from)); }

}  // namespace attnlab::hostexec
