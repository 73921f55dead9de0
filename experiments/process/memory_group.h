// A control group of the Linux kernel that bounds the memory of a child and of all that it starts.
// Sources: the kernel's documentation, admin-guide/cgroup-v2 (memory, "no internal processes") and
// admin-guide/cgroup-v1/memory.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>

namespace attnlab::process {

/// Owns one group: the destructor kills what is left in it and removes it.
class MemoryGroup {
 public:
  /// A new group beside or under the one of this process, with `limit_bytes` of memory and no swap.
  /// Empty where the system lets this user make none; the memory of a child is then watched only.
  /// `proc` and `mounts` are where the kernel's files are found. Removes groups that runs left
  /// which have ended.
  static std::optional<MemoryGroup> create(std::int64_t limit_bytes,
                                           const std::filesystem::path& proc = "/proc/self",
                                           const std::filesystem::path& mounts = "/sys/fs/cgroup");

  MemoryGroup(MemoryGroup&& other) noexcept;
  MemoryGroup& operator=(MemoryGroup&&) = delete;
  ~MemoryGroup();

  /// Moves a process into the group; those that it has started already stay outside.
  bool add(pid_t pid) const;

  /// Processes of the group that the kernel killed because they reached the limit.
  std::int64_t oom_kills() const;

  const std::filesystem::path& path() const { return path_; }

 private:
  MemoryGroup(std::filesystem::path path, int version)
      : path_(std::move(path)), version_(version) {}
  void kill() const;

  std::filesystem::path path_;  ///< empty: moved from
  int version_;                 ///< of the kernel's interface: 1 or 2
};

}  // namespace attnlab::process
