#include "experiments/cli/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "kernels/core/error.h"

namespace attnlab::cli {

void prepare_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // open(2) returns the lowest free number, which is `fd`, as those below are open by now.
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF && ::open("/dev/null", O_RDWR) != fd) {
      throw OutputError(
          fmt::format("[output] standard stream {} is closed and /dev/null cannot be "
                      "opened in its place: {}.",
                      fd, std::strerror(errno)));
    }
  }
  std::signal(SIGPIPE, SIG_IGN);
}

bool write_stdout(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EPIPE) return false;
    if (written < 0) {
      throw OutputError(fmt::format("[output] cannot write to stdout: {}.", std::strerror(errno)));
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace attnlab::cli
