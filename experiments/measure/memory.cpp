#include "experiments/measure/memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "kernels/ops/device.h"

namespace attnlab::measure {
namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

/// One lock keeps live bytes, peak and the sizes of the blocks consistent; about 0.1 us a call.
class Counter {
 public:
  /// Counts the bytes before the allocation, so that a limit acts before the memory is taken.
  void reserve(std::int64_t bytes) {
    const std::lock_guard lock(mutex_);
    if (bytes > limit_ - live_) {
      TORCH_CHECK_WITH(OutOfMemoryError, false, "[memory] ", bytes, " more bytes on top of ", live_,
                       " live ones would pass the limit of ", limit_,
                       "; raise limits.memory or make the problem smaller");
    }
    live_ += bytes;
    peak_ = std::max(peak_, live_);
  }

  void cancel(std::int64_t bytes) {
    const std::lock_guard lock(mutex_);
    live_ -= bytes;
  }

  void remember(const void* block, std::int64_t bytes) {
    const std::lock_guard lock(mutex_);
    sizes_.emplace(block, bytes);
  }

  /// To be called before the block is freed: afterwards another thread may get the same address.
  void release(const void* block) {
    const std::lock_guard lock(mutex_);
    const auto found = sizes_.find(block);
    if (found == sizes_.end()) return;
    live_ -= found->second;
    sizes_.erase(found);
  }

  std::int64_t live() {
    const std::lock_guard lock(mutex_);
    return live_;
  }
  std::int64_t peak() {
    const std::lock_guard lock(mutex_);
    return peak_;
  }
  std::int64_t reset_peak() {
    const std::lock_guard lock(mutex_);
    return peak_ = live_;
  }
  void set_limit_above_live(std::int64_t extra) {
    const std::lock_guard lock(mutex_);
    limit_ = extra > kNoLimit - live_ ? kNoLimit : live_ + extra;
  }
  void clear_limit() {
    const std::lock_guard lock(mutex_);
    limit_ = kNoLimit;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<const void*, std::int64_t> sizes_;
  std::int64_t live_ = 0;
  std::int64_t peak_ = 0;
  std::int64_t limit_ = kNoLimit;
};

class CountingAllocator final : public c10::Allocator {
 public:
  explicit CountingAllocator(c10::Allocator* next)
      : next_(next), next_deleter_(next->raw_deleter()) {
    TORCH_CHECK(next_deleter_ != nullptr,
                "[memory] the CPU allocator in use has no raw deleter and cannot be counted; start "
                "without the library that replaced it");
  }

  c10::DataPtr allocate(std::size_t bytes) override {
    const auto count = static_cast<std::int64_t>(bytes);
    counter.reserve(count);
    void* block = nullptr;
    try {
      block = next_->raw_allocate(bytes);
    } catch (const std::exception& error) {
      counter.cancel(count);
      TORCH_CHECK_WITH(OutOfMemoryError, false, "[memory] ", count,
                       " bytes could not be had: ", error.what());
    }
    if (block == nullptr) {
      counter.cancel(count);
    } else {
      counter.remember(block, count);
    }
    return {block, block, &CountingAllocator::free_block, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &CountingAllocator::free_block; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  Counter counter;

 private:
  static void free_block(void* block);

  c10::Allocator* next_;
  c10::DeleterFnPtr next_deleter_;
};

std::atomic<CountingAllocator*> installed = nullptr;
std::atomic<bool> scope_lives = false;
std::atomic<bool> limit_lives = false;

void CountingAllocator::free_block(void* block) {
  CountingAllocator* self = installed.load();
  self->counter.release(block);
  self->next_deleter_(block);
}

Counter& counter() {
  CountingAllocator* allocator = installed.load();
  if (allocator == nullptr) {
    throw std::logic_error("[memory] install_counting_allocator() was not called");
  }
  return allocator->counter;
}

void claim(std::atomic<bool>& flag, const char* what) {
  if (flag.exchange(true)) throw std::logic_error(std::string("[memory] a second living ") + what);
}

/// The number after the word `key`, such as "VmHWM:".
std::optional<std::int64_t> number_after(const char* file, const std::string& key) {
  std::ifstream stream(file);
  for (std::string word; stream >> word;) {
    std::int64_t number = 0;
    if (word == key && stream >> number) return number;
  }
  return std::nullopt;
}

std::optional<std::int64_t> proc_kilobytes(const char* file, const std::string& key) {
  const auto kilobytes = number_after(file, key + ":");
  if (!kilobytes) return std::nullopt;
  return *kilobytes * 1024;
}

std::optional<std::int64_t> read_number(const char* file) {
  std::ifstream stream(file);
  std::int64_t number = 0;
  if (stream >> number) return number;
  return std::nullopt;  // no such file, or "max"
}

}  // namespace

void install_counting_allocator() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Never deleted: tensors in static storage are freed after everything else.
    auto* allocator = new CountingAllocator(c10::GetCPUAllocator());
    installed.store(allocator);
    constexpr std::uint8_t kPriority = 200;
    c10::SetCPUAllocator(allocator, kPriority);
    TORCH_CHECK(c10::GetCPUAllocator() == allocator,
                "[memory] another CPU allocator of higher priority is installed; start without the "
                "library that brought it");
  });
}

std::int64_t live_bytes(c10::DeviceType device) {
  if (device == c10::DeviceType::CUDA) return ops::cuda_device().memory().live_bytes;
  return counter().live();
}

PeakScope::PeakScope(c10::DeviceType device) : device_(device), start_bytes_(live_bytes(device)) {
  claim(scope_lives, "PeakScope");
  if (device == c10::DeviceType::CUDA) {
    ops::cuda_device().reset_peak_memory();
  } else {
    start_bytes_ = counter().reset_peak();
  }
}

PeakScope::~PeakScope() { scope_lives = false; }

std::int64_t PeakScope::peak_bytes() const {
  const bool on_cuda = device_ == c10::DeviceType::CUDA;
  return (on_cuda ? ops::cuda_device().memory().peak_bytes : counter().peak()) - start_bytes_;
}

AllocationLimit::AllocationLimit(std::int64_t extra_bytes) {
  Counter& used = counter();
  claim(limit_lives, "AllocationLimit");
  used.set_limit_above_live(extra_bytes);
}

AllocationLimit::~AllocationLimit() {
  counter().clear_limit();
  limit_lives = false;
}

std::optional<std::int64_t> peak_rss_bytes() {
  return proc_kilobytes("/proc/self/status", "VmHWM");
}

bool reset_peak_rss() {
  std::ofstream file("/proc/self/clear_refs");
  file << '5';
  file.flush();
  return file.good();
}

std::optional<std::int64_t> available_memory_bytes(c10::DeviceType device) {
  if (device == c10::DeviceType::CUDA) return ops::cuda_device().memory().available_bytes;
  auto available = proc_kilobytes("/proc/meminfo", "MemAvailable");
  const auto limit = read_number("/sys/fs/cgroup/memory.max");
  const auto used = read_number("/sys/fs/cgroup/memory.current");
  if (limit && used) {
    // File pages that nobody used lately count as used, but are given up first.
    const auto cache = number_after("/sys/fs/cgroup/memory.stat", "inactive_file").value_or(0);
    const std::int64_t left = std::max<std::int64_t>(0, *limit - *used + cache);
    available = std::min(available.value_or(left), left);
  }
  return available;
}

}  // namespace attnlab::measure
