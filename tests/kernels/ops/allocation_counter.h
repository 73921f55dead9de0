// Counts what Torch's CPU allocator hands out, exactly.
#pragma once

#include <cstdint>

namespace attnlab::testing {

/// While it lives, tensor memory on the CPU is counted. One at a time.
class AllocationCounter {
 public:
  AllocationCounter();
  ~AllocationCounter();
  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;

  /// Bytes alive now, of allocations since the start.
  std::int64_t live_bytes() const;
  /// Most bytes alive since the start or the last `reset_peak`.
  std::int64_t peak_bytes() const;
  void reset_peak();
};

}  // namespace attnlab::testing
