#include "tests/kernels/ops/allocation_counter.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

namespace attnlab::testing {
namespace {

/// Never destroyed: tensors may outlive the counter and still call its deleter.
class CountingAllocator final : public c10::Allocator {
 public:
  explicit CountingAllocator(c10::Allocator* wrapped) : wrapped_(wrapped) {}

  c10::DataPtr allocate(std::size_t n) override {
    c10::DataPtr inner = wrapped_->allocate(n);
    void* data = inner.get();
    if (data == nullptr) return inner;
    const std::lock_guard lock(mutex_);
    live_ += static_cast<std::int64_t>(n);
    peak_ = std::max(peak_, live_);
    blocks_[data] = {std::move(inner), n};
    return {data, data, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* dest, const void* src, std::size_t count) const override {
    default_copy_data(dest, src, count);
  }

  static CountingAllocator& instance() {
    static auto* allocator = new CountingAllocator(c10::GetDefaultCPUAllocator());
    return *allocator;
  }

  std::int64_t live() const { return live_; }
  std::int64_t peak() const { return peak_; }
  void reset_peak() { peak_ = live_; }
  void reset() { live_ = peak_ = 0; }

 private:
  struct Block {
    c10::DataPtr data;
    std::size_t size = 0;
  };

  static void release(void* data) {
    CountingAllocator& self = instance();
    const std::lock_guard lock(self.mutex_);
    const auto block = self.blocks_.find(data);
    self.live_ -= static_cast<std::int64_t>(block->second.size);
    self.blocks_.erase(block);
  }

  c10::Allocator* wrapped_;
  std::mutex mutex_;
  std::unordered_map<void*, Block> blocks_;
  std::int64_t live_ = 0;
  std::int64_t peak_ = 0;
};

constexpr std::uint8_t kPriority = 200;

}  // namespace

AllocationCounter::AllocationCounter() {
  CountingAllocator::instance().reset();
  c10::SetCPUAllocator(&CountingAllocator::instance(), kPriority);
}

AllocationCounter::~AllocationCounter() {
  c10::SetCPUAllocator(c10::GetDefaultCPUAllocator(), kPriority);
}

std::int64_t AllocationCounter::live_bytes() const { return CountingAllocator::instance().live(); }
std::int64_t AllocationCounter::peak_bytes() const { return CountingAllocator::instance().peak(); }
void AllocationCounter::reset_peak() { CountingAllocator::instance().reset_peak(); }

}  // namespace attnlab::testing
