// Hands out pieces of a workspace. Run with no memory behind it, it only counts: so a layout
// function says once what a kernel needs, and plan and kernel agree by construction.
#pragma once

#include <cstddef>
#include <cstdint>

namespace attnlab::cpu {

inline constexpr std::int64_t kWorkspaceAlignment = 64;

constexpr std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Elements of a row in scratch memory: whole vectors of every instruction set.
constexpr std::int64_t padded_dim(std::int64_t dim) { return round_up(dim, 16); }

class Arena {
 public:
  /// Counts only.
  Arena() = default;
  explicit Arena(std::byte* base) : base_(base) {}

  /// `count` elements, 64-byte aligned, contents undefined; null where this arena only counts.
  template <class T>
  T* take(std::int64_t count) {
    const std::int64_t offset = used_bytes_;
    used_bytes_ += round_up(count * static_cast<std::int64_t>(sizeof(T)), kWorkspaceAlignment);
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + offset);
  }

  std::int64_t used_bytes() const { return used_bytes_; }

 private:
  std::byte* base_ = nullptr;
  std::int64_t used_bytes_ = 0;
};

}  // namespace attnlab::cpu
