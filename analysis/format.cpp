#include "analysis/format.h"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <cstdlib>

namespace attnlab::analysis {
namespace {

/// Rounds to three digits first, so that 999.7 becomes 1000 and can move on to the next unit.
double round_to_three_digits(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double step = std::pow(10.0, std::floor(std::log10(std::abs(value))) - 2);
  return std::round(value / step) * step;
}

/// For values in [0, 1024).
std::string three_digits(double value) {
  const int decimals = value < 10 ? 2 : value < 100 ? 1 : 0;
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

std::string format_time_ms(double milliseconds) {
  if (!std::isfinite(milliseconds) || milliseconds < 0) return fmt::format("{} ms", milliseconds);
  const double ns = round_to_three_digits(milliseconds * 1e6);
  if (ns < 1e3) return three_digits(ns) + " ns";
  if (ns < 1e6) return three_digits(ns / 1e3) + " us";
  if (ns < 1e9) return three_digits(ns / 1e6) + " ms";
  if (milliseconds < 59.5e3) return three_digits(ns / 1e9) + " s";
  const auto seconds = static_cast<std::int64_t>(std::llround(milliseconds / 1e3));
  return fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
}

std::string format_bytes(std::int64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (std::abs(bytes) < 1024) return fmt::format("{} B", bytes);
  auto value = std::abs(static_cast<double>(bytes));
  std::size_t unit = 0;
  while (value >= 1023.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{}{} {}", bytes < 0 ? "-" : "",
                     three_digits(value < 1000 ? round_to_three_digits(value) : value),
                     kUnits.at(unit));
}

std::string format_number(double value) {
  if (value == 0 || !std::isfinite(value)) return fmt::format("{:g}", value);
  const double size = std::abs(round_to_three_digits(value));
  if (size < 1e-3 || size >= 1e5) return fmt::format("{:.1e}", value);
  return size < 1000 ? fmt::format("{:.3g}", value) : fmt::format("{:.0f}", value);
}

}  // namespace attnlab::analysis
