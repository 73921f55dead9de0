#include "tests/experiments/runner/faulty_calls.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <string_view>

namespace attnlab::runner {
namespace {

bool is_watched(std::string_view path) {
  return !watched_folder.empty() && path.starts_with(watched_folder);
}

bool is_watched(int fd) {
  if (watched_folder.empty()) return false;
  std::array<char, 4096> target{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), target.data(), target.size());
  return size > 0 && is_watched(std::string_view(target.data(), static_cast<std::size_t>(size)));
}

/// Counts the call; whether it is the one that fails.
bool is_hit(const char* call) {
  const bool hit = ++calls_made[call] == fault.position && fault.call == call;
  if (hit) errno = fault.error;
  return hit;
}

}  // namespace
}  // namespace attnlab::runner

using attnlab::runner::fault;
using attnlab::runner::is_hit;
using attnlab::runner::is_watched;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const int mode = (flags & O_CREAT) != 0 ? va_arg(arguments, int) : 0;
  va_end(arguments);
  if (is_watched(path) && is_hit("open")) return -1;
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

ssize_t write(int fd, const void* bytes, size_t size) {
  if (!is_watched(fd) || !is_hit("write")) return ::syscall(SYS_write, fd, bytes, size);
  if (fault.error == 0) return ::syscall(SYS_write, fd, bytes, (size + 1) / 2);
  // A full disk has taken what fitted by an earlier call.
  if (fault.error == ENOSPC) (void)::syscall(SYS_write, fd, bytes, size / 2);
  errno = fault.error;
  return -1;
}

int fsync(int fd) {
  if (is_watched(fd) && is_hit("fsync")) return -1;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

int fdatasync(int fd) {
  if (is_watched(fd) && is_hit("fdatasync")) return -1;
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

int rename(const char* from, const char* to) noexcept {
  if (is_watched(to) && is_hit("rename")) return -1;
  return static_cast<int>(::syscall(SYS_rename, from, to));
}

}  // extern "C"
