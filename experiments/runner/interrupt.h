// Ctrl-C and kill during a run: the journal is left whole, and the program ends at once instead of
// after the running trial.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace attnlab::runner {

inline constexpr int kExitInterrupted = 130;

/// While it lives, SIGINT and SIGTERM are taken by a thread of its own, which waits for `mutex()`,
/// calls `on_interrupt` and ends the process with exit code 130. Whoever writes results holds the
/// mutex meanwhile. Make it before other threads start: they inherit the blocked signals.
class InterruptGuard {
 public:
  explicit InterruptGuard(std::function<void()> on_interrupt);
  /// Stops the thread and restores the signal mask.
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  std::mutex& mutex() { return mutex_; }

 private:
  struct Signals;
  void watch();

  std::function<void()> on_interrupt_;
  std::mutex mutex_;
  std::unique_ptr<Signals> signals_;
  std::thread watcher_;
};

}  // namespace attnlab::runner
