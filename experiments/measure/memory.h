// How much memory tensors take: exact counts of what Torch's CPU allocator hands out, an injected
// limit, and the process's peak of resident memory.
#pragma once

#include <c10/core/DeviceType.h>

#include <cstdint>
#include <optional>

namespace attnlab::measure {

/// Puts a counting allocator in front of Torch's CPU allocator. Call it once, early in main, before
/// tensors are made (what exists already is not counted); further calls do nothing. Counted are the
/// bytes that were asked for, not what the heap rounds them to.
void install_counting_allocator();

/// Bytes of tensors and scratch alive now on the CPU, or (kCUDA) those asked of Torch's caching
/// allocator on the current device. Throws std::logic_error without an installed allocator.
std::int64_t live_bytes(c10::DeviceType device = c10::DeviceType::CPU);

/// The highest live_bytes() between construction and now. One at a time in a process: the peak is
/// global, so a second living scope is a std::logic_error.
class PeakScope {
 public:
  explicit PeakScope(c10::DeviceType device = c10::DeviceType::CPU);
  ~PeakScope();
  PeakScope(const PeakScope&) = delete;
  PeakScope& operator=(const PeakScope&) = delete;

  /// Relative to what was alive at construction; never negative.
  std::int64_t peak_bytes() const;

 private:
  c10::DeviceType device_;
  std::int64_t start_bytes_;
};

/// On the CPU: while it lives, an allocation that would take live_bytes() more than `extra_bytes`
/// above what was alive at construction throws c10::OutOfMemoryError (also from Torch's worker
/// threads, which pass it on). One at a time in a process.
class AllocationLimit {
 public:
  explicit AllocationLimit(std::int64_t extra_bytes);
  ~AllocationLimit();
  AllocationLimit(const AllocationLimit&) = delete;
  AllocationLimit& operator=(const AllocationLimit&) = delete;
};

/// Highest resident memory of the process since the last reset, libraries and everything included
/// (VmHWM of /proc/self/status). Nothing where the kernel does not tell.
std::optional<std::int64_t> peak_rss_bytes();

/// Sets the peak back to what is resident now. False where the kernel does not allow it.
bool reset_peak_rss();

/// What the machine (or, for kCUDA, the current device) can still give to this process: the smaller
/// of MemAvailable and what the control group's limit leaves. Nothing where neither can be read.
std::optional<std::int64_t> available_memory_bytes(c10::DeviceType device = c10::DeviceType::CPU);

}  // namespace attnlab::measure
