#include "experiments/runner/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>
#include <utility>

namespace attnlab::runner {

struct InterruptGuard::Signals {
  sigset_t watched{};
  sigset_t previous_mask{};
  int signal_fd = -1;
  int stop_fd = -1;

  Signals() {
    sigemptyset(&watched);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &watched, &previous_mask);
    signal_fd = ::signalfd(-1, &watched, SFD_CLOEXEC);
    stop_fd = ::eventfd(0, EFD_CLOEXEC);
    if (signal_fd < 0 || stop_fd < 0) {
      throw std::system_error(errno, std::generic_category(), "[runner] cannot watch signals");
    }
  }
  ~Signals() {
    ::close(signal_fd);
    ::close(stop_fd);
    pthread_sigmask(SIG_SETMASK, &previous_mask, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
};

InterruptGuard::InterruptGuard(std::function<void()> on_interrupt)
    : on_interrupt_(std::move(on_interrupt)),
      signals_(std::make_unique<Signals>()),
      watcher_([this] { watch(); }) {}

InterruptGuard::~InterruptGuard() {
  const std::uint64_t one = 1;
  // Cannot fail on an eventfd whose counter is 0.
  [[maybe_unused]] const ssize_t written = ::write(signals_->stop_fd, &one, sizeof one);
  watcher_.join();
}

void InterruptGuard::watch() {
  std::array<pollfd, 2> events{{{signals_->signal_fd, POLLIN, 0}, {signals_->stop_fd, POLLIN, 0}}};
  while (::poll(events.data(), events.size(), -1) < 0 && errno == EINTR) {
  }
  if ((events[0].revents & POLLIN) == 0) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  on_interrupt_();
  // No destructors: the trial is still running in another thread.
  ::_exit(kExitInterrupted);
}

}  // namespace attnlab::runner
