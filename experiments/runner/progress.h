// Progress of a run on stderr: one line per finished trial; on a terminal also the running one,
// which is overwritten in place.
#pragma once

#include <chrono>
#include <cstddef>
#include <ostream>
#include <string>

namespace attnlab::runner {

/// "0:21", "12:05", "1:02:05".
std::string format_duration(double seconds);

/// Whether cursor control may be written to stderr: it is a terminal, and neither NO_COLOR is set
/// nor TERM is "dumb".
bool stderr_is_interactive();

class Progress {
 public:
  /// `stream` outlives the object. `interactive`: the running trial may be shown and overwritten.
  Progress(std::ostream& stream, std::size_t total, bool interactive);

  /// `label` names the trial: "flash n=1024 forward". Several may run at once.
  void start(const std::string& label);

  /// `outcome`: "4.31 ms  2.1 MiB", or the status and its reason.
  void finish(const std::string& label, const std::string& outcome);

  /// The same for a part of something that is still to be finished.
  void step(const std::string& label, const std::string& outcome);

  std::size_t done() const { return done_; }
  std::size_t total() const { return total_; }

  /// Removes the line of the running trial, so that something else can be written.
  void clear_running();

  /// "elapsed 0:21, about 1:10 left"; the estimate takes the trials to come for as long as the mean
  /// of those done.
  static std::string time_line(double elapsed_s, std::size_t done, std::size_t total);

 private:
  double elapsed_s() const;
  std::string counter(std::size_t number) const;

  std::ostream& stream_;
  std::size_t total_;
  bool interactive_;
  std::size_t done_ = 0;
  std::size_t running_ = 0;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace attnlab::runner
