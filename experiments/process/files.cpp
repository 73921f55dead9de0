#include "experiments/process/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "kernels/core/error.h"

namespace attnlab::process {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, int error) {
  throw OutputError(fmt::format(
      "[output] cannot write {}: {}. Choose a folder that can be written with run.dir=DIR, "
      "or make room.",
      path.string(), std::strerror(error)));
}

int open_file(const std::filesystem::path& path, int flags) {
  const int fd = uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0644); });
  if (fd < 0) fail(path, errno);
  return fd;
}

class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags) : fd_(open_file(path, flags)) {}
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

/// One call, unless the system takes only a part.
void write_all(const std::filesystem::path& path, int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = uninterrupted([&] { return ::write(fd, text.data(), text.size()); });
    if (written < 0) fail(path, errno);
    // A regular file that takes nothing and names no error would keep us here for ever.
    if (written == 0) fail(path, EIO);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void write_and_sync(const std::filesystem::path& path, std::string_view text) {
  const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  write_all(path, file.get(), text);
  if (uninterrupted([&] { return ::fsync(file.get()); }) != 0) fail(path, errno);
}

}  // namespace

void sync_folder_of(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const Descriptor directory(folder, O_RDONLY | O_DIRECTORY);
  const bool synced = uninterrupted([&] { return ::fsync(directory.get()); }) == 0;
  // EINVAL: a file system that knows no such thing.
  if (!synced && errno != EINVAL) fail(folder, errno);
}

void make_directories(const std::filesystem::path& directory) {
  std::error_code error;
  std::vector<std::filesystem::path> missing;
  std::filesystem::path path = std::filesystem::absolute(directory);
  for (; path.has_relative_path() && !std::filesystem::exists(path, error);
       path = path.parent_path()) {
    missing.push_back(path);
  }
  std::filesystem::create_directories(directory, error);
  if (error) fail(directory, error.value());
  for (const std::filesystem::path& made : missing) sync_folder_of(made);
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::path temporary = path;
  temporary += ".tmp";
  try {
    write_and_sync(temporary, text);
    if (uninterrupted([&] { return ::rename(temporary.c_str(), path.c_str()); }) != 0) {
      fail(path, errno);
    }
  } catch (const OutputError&) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_folder_of(path);
}

std::string read_file(const std::filesystem::path& path) {
  const auto refuse = [&](int error) {
    return OutputError(
        fmt::format("[output] cannot read {}: {}.", path.string(), std::strerror(error)));
  };
  const int fd = uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (fd < 0) throw refuse(errno);
  std::string text;
  std::array<char, std::size_t{1} << 16> buffer;
  ssize_t size = 0;
  while ((size = uninterrupted([&] { return ::read(fd, buffer.data(), buffer.size()); })) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  const int error = errno;
  ::close(fd);
  if (size < 0) throw refuse(error);
  return text;
}

AppendFile::AppendFile(std::filesystem::path path)
    : path_(std::move(path)), fd_(open_file(path_, O_WRONLY | O_CREAT | O_APPEND)) {
  try {
    sync_folder_of(path_);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

AppendFile::~AppendFile() { ::close(fd_); }

void AppendFile::append(std::string_view text) {
  if (failed_) {
    throw OutputError(fmt::format(
        "[output] nothing is written to {} after an earlier failure to do so.", path_.string()));
  }
  failed_ = true;
  write_all(path_, fd_, text);
  if (uninterrupted([&] { return ::fdatasync(fd_); }) != 0) fail(path_, errno);
  failed_ = false;
}

}  // namespace attnlab::process
