#include "experiments/runner/length_search.h"

#include <algorithm>
#include <stdexcept>

namespace attnlab::runner {

std::optional<std::int64_t> LengthSearch::next() const {
  if (!bound_) {
    if (longest_ == 0) return range_.start;
    if (longest_ >= range_.max) return std::nullopt;
    return longest_ > range_.max / 2 ? range_.max : 2 * longest_;
  }
  const std::int64_t gap = *bound_ - longest_;
  const auto fine = static_cast<std::int64_t>(range_.resolution * static_cast<double>(longest_));
  if (gap <= std::max(range_.granularity, fine)) return std::nullopt;
  // The gap is wider than the granularity, so a multiple of it lies inside.
  std::int64_t middle = longest_ + gap / 2;
  middle -= middle % range_.granularity;
  return middle > longest_ ? middle : middle + range_.granularity;
}

void LengthSearch::add(std::int64_t seqlen, bool fits) {
  if (next() != seqlen) throw std::logic_error("[longest] not the length that was asked for");
  if (fits) {
    longest_ = seqlen;
  } else {
    bound_ = seqlen;
  }
}

}  // namespace attnlab::runner
