#include "experiments/process/capped_output.h"

#include <fmt/format.h>

#include <algorithm>

namespace attnlab::process {

CappedOutput::CappedOutput(std::size_t limit_bytes) : half_(limit_bytes / 2) {}

void CappedOutput::append(const char* bytes, std::size_t size) {
  total_ += size;
  const std::size_t first = std::min(size, half_ - head_.size());
  head_.append(bytes, first);
  tail_.append(bytes + first, size - first);
  if (tail_.size() > 2 * half_) tail_.erase(0, tail_.size() - half_);
}

std::string CappedOutput::text() const {
  const std::string end = tail_.substr(tail_.size() - std::min(tail_.size(), half_));
  const std::size_t missing = total_ - head_.size() - end.size();
  if (missing == 0) return head_ + end;
  return head_ + fmt::format("\n[{} bytes are left out here]\n", missing) + end;
}

}  // namespace attnlab::process
