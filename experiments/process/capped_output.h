// Text of unknown length, of which the beginning and the end are kept.
#pragma once

#include <cstddef>
#include <string>

namespace attnlab::process {

class CappedOutput {
 public:
  explicit CappedOutput(std::size_t limit_bytes);

  void append(const char* bytes, std::size_t size);

  /// Everything, or the first and last halves with a line between them that says how much is
  /// missing.
  std::string text() const;

 private:
  std::size_t half_;
  std::string head_;
  std::string tail_;  ///< up to twice `half_`, so that it is seldom cut
  std::size_t total_ = 0;
};

}  // namespace attnlab::process
