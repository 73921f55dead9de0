// Device memory of the host execution model: buffers of exact size between guard zones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace attnlab::hostexec {

/// 256-byte aligned, filled with 0xFF. Kernels may touch these bytes and no others.
std::byte* allocate(std::size_t bytes);
/// Null is allowed.
void release(std::byte* data);
/// False where somebody wrote beside the buffer without being seen.
bool guards_intact(const std::byte* data);

/// The buffer that holds `address`, or null. `shadow`: one state per two bytes, owned by the race
/// checker.
struct Buffer {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  void* shadow = nullptr;
  void (*free_shadow)(void*) = nullptr;
};
Buffer* find_buffer(std::uintptr_t address);

}  // namespace attnlab::hostexec
