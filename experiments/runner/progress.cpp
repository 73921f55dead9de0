#include "experiments/runner/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <string_view>

namespace attnlab::runner {
namespace {

/// Back to the first column and erase the line (ECMA-48 EL).
constexpr std::string_view kEraseLine = "\r\x1b[K";

}  // namespace

std::string format_duration(double seconds) {
  const auto total = static_cast<long long>(std::llround(seconds < 0 ? 0.0 : seconds));
  const long long hours = total / 3600;
  const long long minutes = total / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
  return fmt::format("{}:{:02}", minutes, total % 60);
}

bool stderr_is_interactive() {
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* term = std::getenv("TERM");
  if (term == nullptr || std::string_view(term) == "dumb") return false;
  return ::isatty(STDERR_FILENO) == 1;
}

Progress::Progress(std::ostream& stream, std::size_t total, bool interactive)
    : stream_(stream), total_(total), interactive_(interactive) {}

void Progress::start(const std::string& label) {
  ++running_;
  if (!interactive_) return;
  const std::string more = running_ > 1 ? fmt::format(" and {} more", running_ - 1) : "";
  stream_ << fmt::format("{}{} {}{}  running | {}", kEraseLine, counter(done_ + 1), label, more,
                         time_line(elapsed_s(), done_, total_))
          << std::flush;
}

void Progress::finish(const std::string& label, const std::string& outcome) {
  ++done_;
  --running_;
  clear_running();
  stream_ << fmt::format("{} {}  {}  | {}\n", counter(done_), label, outcome,
                         time_line(elapsed_s(), done_, total_))
          << std::flush;
}

void Progress::step(const std::string& label, const std::string& outcome) {
  --running_;
  clear_running();
  stream_ << fmt::format("{} {}  {}  | {}\n", counter(done_ + 1), label, outcome,
                         time_line(elapsed_s(), done_, total_))
          << std::flush;
}

void Progress::clear_running() {
  if (interactive_) stream_ << kEraseLine << std::flush;
}

std::string Progress::time_line(double elapsed_s, std::size_t done, std::size_t total) {
  std::string line = "elapsed " + format_duration(elapsed_s);
  if (done > 0 && done < total) {
    const double mean_s = elapsed_s / static_cast<double>(done);
    line +=
        fmt::format(", about {} left", format_duration(mean_s * static_cast<double>(total - done)));
  }
  return line;
}

double Progress::elapsed_s() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
}

std::string Progress::counter(std::size_t number) const {
  const std::string total = std::to_string(total_);
  return fmt::format("[{:>{}}/{}]", number, total.size(), total);
}

}  // namespace attnlab::runner
