#include "hostexec/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>

namespace attnlab::hostexec {
namespace {

constexpr std::size_t kGuard = 256;
constexpr unsigned char kGuardByte = 0xa5;

/// By begin.
std::map<std::uintptr_t, Buffer>& buffers() {
  static std::map<std::uintptr_t, Buffer> all;
  return all;
}

Buffer* last_found = nullptr;

}  // namespace

std::byte* allocate(std::size_t bytes) {
  const std::size_t total = (bytes + 2 * kGuard + 255) / 256 * 256;
  auto* const start = static_cast<std::byte*>(std::aligned_alloc(256, total));
  if (start == nullptr) throw std::bad_alloc();
  std::memset(start, kGuardByte, total);
  std::byte* const data = start + kGuard;
  std::memset(data, 0xff, bytes);
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  buffers()[begin] = {begin, begin + bytes};
  return data;
}

void release(std::byte* data) {
  if (data == nullptr) return;
  const auto entry = buffers().find(reinterpret_cast<std::uintptr_t>(data));
  if (entry->second.shadow != nullptr) entry->second.free_shadow(entry->second.shadow);
  buffers().erase(entry);
  last_found = nullptr;
  std::free(data - kGuard);
}

bool guards_intact(const std::byte* data) {
  const Buffer* const buffer = find_buffer(reinterpret_cast<std::uintptr_t>(data));
  if (buffer == nullptr) return true;
  const auto intact = [](const std::byte* from, const std::byte* to) {
    return std::all_of(from, to, [](std::byte x) { return x == std::byte{kGuardByte}; });
  };
  const std::byte* const end = data + (buffer->end - buffer->begin);
  return intact(data - kGuard, data) && intact(end, end + kGuard);
}

Buffer* find_buffer(std::uintptr_t address) {
  if (last_found != nullptr && address >= last_found->begin && address < last_found->end) {
    return last_found;
  }
  auto entry = buffers().upper_bound(address);
  if (entry == buffers().begin()) return nullptr;
  --entry;
  if (address >= entry->second.end) return nullptr;
  last_found = &entry->second;
  return last_found;
}

}  // namespace attnlab::hostexec
