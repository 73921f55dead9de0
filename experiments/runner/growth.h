// What measurements at some lengths let expect of a longer one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace attnlab::runner {

/// A power of the length through two measurements: that of the longest, and that of the longest at
/// most half as long, so that noise of neighbours does not become an exponent.
class Growth {
 public:
  /// Of several values for a length the last counts. A value that is not above 0 says nothing and
  /// is left out.
  void add(std::int64_t seqlen, double value);

  /// The value to be expected at `seqlen`, beyond the longest measured; nothing without a
  /// measurement. The exponent is within 0 and 3; 0 where there is one measurement only.
  std::optional<double> at(std::int64_t seqlen) const;

 private:
  std::map<std::int64_t, double> values_;
};

}  // namespace attnlab::runner
