// Durable file writing for the run folder: what was reported as written is on disk, and a reader
// never sees half a file.
#pragma once

#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>

namespace attnlab::process {

/// The result of a system call, made again where a signal came between.
template <class F>
auto uninterrupted(const F& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// Creates `directory` and its parents, durably. Throws OutputError with path and cause.
void make_directories(const std::filesystem::path& directory);

/// Writes a temporary file beside `path`, syncs it, renames it over `path` and syncs the folder, so
/// that after a crash the old or the new text is there, never a mixture (Pillai et al., OSDI 2014).
/// Throws OutputError with path and cause.
void write_file(const std::filesystem::path& path, std::string_view text);

/// Makes the name of `path`, a file or folder, as durable as it is itself. Throws OutputError.
void sync_folder_of(const std::filesystem::path& path);

/// The bytes of a file. Throws OutputError with path and cause.
std::string read_file(const std::filesystem::path& path);

/// A file that only grows. Every `append` is on disk when it returns.
class AppendFile {
 public:
  /// Opens or creates `path`, durably. Throws OutputError with path and cause.
  explicit AppendFile(std::filesystem::path path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// One write(2) at the end of the file, then fdatasync. Throws OutputError where not all of
  /// `text` could be written, and from then on: what follows half a line would be lost with it.
  void append(std::string_view text);

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  bool failed_ = false;
};

}  // namespace attnlab::process
