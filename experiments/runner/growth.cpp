#include "experiments/runner/growth.h"

#include <algorithm>
#include <cmath>

namespace attnlab::runner {
namespace {

constexpr double kSteepest = 3;

}  // namespace

void Growth::add(std::int64_t seqlen, double value) {
  if (seqlen > 0 && value > 0 && std::isfinite(value)) values_[seqlen] = value;
}

std::optional<double> Growth::at(std::int64_t seqlen) const {
  if (values_.empty()) return std::nullopt;
  const auto& [longest, value] = *values_.rbegin();
  auto half = values_.upper_bound(longest / 2);
  double exponent = 0;
  if (half != values_.begin()) {
    --half;
    const double lengths = static_cast<double>(longest) / static_cast<double>(half->first);
    exponent = std::clamp(std::log(value / half->second) / std::log(lengths), 0.0, kSteepest);
  }
  const double ratio = static_cast<double>(seqlen) / static_cast<double>(longest);
  return value * std::pow(ratio, exponent);
}

}  // namespace attnlab::runner
