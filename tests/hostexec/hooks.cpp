// What -fsanitize=thread calls before loads and stores of the kernels' translation units. The
// program is not linked with ThreadSanitizer's runtime: these functions take its place.
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "hostexec/fibers.h"
#include "hostexec/machine.h"

namespace attnlab::hostexec {
namespace {

inline void observe(void* address, std::size_t bytes, std::size_t alignment, Access access,
                    void* instruction) {
  if (!watching || on_thread_stack(reinterpret_cast<std::uintptr_t>(address))) return;
  const Unwatched pause;
  check_access(address, static_cast<int>(bytes), static_cast<int>(alignment), access,
               Where(instruction));
}

}  // namespace
}  // namespace attnlab::hostexec

using attnlab::hostexec::Access;
using attnlab::hostexec::observe;

// NOLINTBEGIN: the names and types are the compiler's.
#define ATTNLAB_HOOKS(bytes)                                               \
  void __tsan_read##bytes(void* p) {                                       \
    observe(p, bytes, bytes, Access::kRead, __builtin_return_address(0));  \
  }                                                                        \
  void __tsan_write##bytes(void* p) {                                      \
    observe(p, bytes, bytes, Access::kWrite, __builtin_return_address(0)); \
  }                                                                        \
  void __tsan_unaligned_read##bytes(void* p) {                             \
    observe(p, bytes, 1, Access::kRead, __builtin_return_address(0));      \
  }                                                                        \
  void __tsan_unaligned_write##bytes(void* p) {                            \
    observe(p, bytes, 1, Access::kWrite, __builtin_return_address(0));     \
  }

// Atomic operations are the host side's (reference counts, guards of static variables).
#define ATTNLAB_ATOMICS(bits, T)                                                          \
  T __tsan_atomic##bits##_load(const volatile T* p, int) {                                \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                          \
  }                                                                                       \
  void __tsan_atomic##bits##_store(volatile T* p, T v, int) {                             \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                             \
  }                                                                                       \
  T __tsan_atomic##bits##_exchange(volatile T* p, T v, int) {                             \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                   \
  }                                                                                       \
  T __tsan_atomic##bits##_fetch_add(volatile T* p, T v, int) {                            \
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                    \
  }                                                                                       \
  T __tsan_atomic##bits##_fetch_sub(volatile T* p, T v, int) {                            \
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);                                    \
  }                                                                                       \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile T* p, T* e, T v, int, int) { \
    return __atomic_compare_exchange_n(p, e, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);   \
  }                                                                                       \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile T* p, T* e, T v, int, int) {   \
    return __atomic_compare_exchange_n(p, e, v, 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);   \
  }

extern "C" {
ATTNLAB_HOOKS(1)
ATTNLAB_HOOKS(2)
ATTNLAB_HOOKS(4)
ATTNLAB_HOOKS(8)
ATTNLAB_HOOKS(16)
ATTNLAB_ATOMICS(8, std::uint8_t)
ATTNLAB_ATOMICS(16, std::uint16_t)
ATTNLAB_ATOMICS(32, std::uint32_t)
ATTNLAB_ATOMICS(64, std::uint64_t)

void __tsan_read_range(void* p, std::size_t bytes) {
  observe(p, bytes, 1, Access::kRead, __builtin_return_address(0));
}
void __tsan_write_range(void* p, std::size_t bytes) {
  observe(p, bytes, 1, Access::kWrite, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}
// NOLINTEND
