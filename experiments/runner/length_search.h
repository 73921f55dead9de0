// Finds the longest sequence that fits: doubling until one does not, then bisection. Knows lengths
// only; who calls it says of each whether it fits.
#pragma once

#include <cstdint>
#include <optional>

#include "experiments/config/schema.h"

namespace attnlab::runner {

/// Takes fitting for monotone: lengths beyond one that did not fit are not asked for. At most
/// log2(max / start) + log2(2 / resolution) lengths or so, and each once.
class LengthSearch {
 public:
  explicit LengthSearch(const config::LongestConfig& range) : range_(range) {}

  /// The next length to try, in tokens; nothing where the search has ended: `max` fits, or the
  /// bound is no more than the granularity, or the resolution times the longest, above the longest.
  std::optional<std::int64_t> next() const;

  /// Whether the length that `next` gave fits.
  void add(std::int64_t seqlen, bool fits);

  /// The longest that fits; 0 where none is known.
  std::int64_t longest() const { return longest_; }

  /// The shortest that did not fit; nothing where all did.
  std::optional<std::int64_t> bound() const { return bound_; }

 private:
  config::LongestConfig range_;
  std::int64_t longest_ = 0;
  std::optional<std::int64_t> bound_;
};

}  // namespace attnlab::runner
