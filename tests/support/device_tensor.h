// Device memory for tests of CUDA kernels, and the ways of running them. A device is the host
// execution model (tests/hostexec), or a GPU where the tests are compiled without it (tests/gpu).
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

#include "kernels/cuda/device_model.h"
#include "tests/support/device_memory.h"
#include "tests/support/host_tensor.h"

#if defined(ATTNLAB_HOSTEXEC)
#include "tests/hostexec/scheduler.h"
#endif

namespace attnlab::testing {

/// Device memory of exactly so many bytes, 256-byte aligned, every byte 0xFF (NaN in every type).
/// A write beside it that nothing else noticed fails the test when it is freed.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(std::int64_t bytes)
      : size_(static_cast<std::size_t>(bytes)), data_(device::allocate(size_)) {}
  ~DeviceBuffer() {
    EXPECT_TRUE(device::guards_intact(data_)) << "bytes beside a device buffer were overwritten";
    device::release(data_);
  }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  std::span<std::byte> span() const { return {data_, size_}; }
  std::byte* data() const { return data_; }

  /// `at`: bytes from the start.
  void upload(std::span<const std::byte> from, std::size_t at = 0) {
    device::upload(data_ + at, from.data(), from.size());
  }
  void download(std::span<std::byte> to) const { device::download(to.data(), data_, to.size()); }
  void poison() { device::poison(data_, size_); }

 private:
  std::size_t size_;
  std::byte* data_;
};

/// A copy of a host tensor, with its strides, in device memory.
class DeviceTensor {
 public:
  /// `offset` in elements moves the start away from the alignment of device memory.
  explicit DeviceTensor(const HostTensor& tensor, std::int64_t offset = 0)
      : offset_(static_cast<std::size_t>(offset * element_size(tensor.view().dtype))),
        buffer_(static_cast<std::int64_t>(offset_ + tensor.bytes().size())),
        uploaded_(tensor.bytes().begin(), tensor.bytes().end()),
        view_(tensor.view()) {
    buffer_.upload(uploaded_, offset_);
    view_.data = buffer_.data() + offset_;
  }

  const TensorView& view() const { return view_; }

  /// Copies to a tensor of the same sizes and layout. Bytes between rows have to be what they were.
  void download(HostTensor& tensor) const {
    ASSERT_EQ(tensor.view().strides, view_.strides);
    std::vector<std::byte> now(offset_ + uploaded_.size());
    buffer_.download(now);
    std::memcpy(tensor.bytes().data(), now.data() + offset_, uploaded_.size());
    std::vector<std::byte> gaps(now.begin() + static_cast<std::ptrdiff_t>(offset_), now.end());
    const auto size = static_cast<std::size_t>(element_size(view_.dtype));
    const auto& strides = view_.strides;
    tensor.for_each([&](auto b, auto h, auto s, auto c) {
      const std::int64_t element = b * strides[0] + h * strides[1] + s * strides[2] + c;
      const std::size_t at = static_cast<std::size_t>(element) * size;
      std::memcpy(&gaps[at], &uploaded_[at], size);
    });
    EXPECT_TRUE(gaps == uploaded_) << "bytes between rows were overwritten";
  }

 private:
  std::size_t offset_;
  DeviceBuffer buffer_;
  std::vector<std::byte> uploaded_;
  TensorView view_;
};

/// A small array in device memory (seqlens_k, alibi_slopes). Null where it is empty.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values)
      : size_(values.size()), buffer_(static_cast<std::int64_t>(values.size() * sizeof(T))) {
    buffer_.upload(std::as_bytes(std::span(values)));
  }
  T* data() const { return size_ == 0 ? nullptr : reinterpret_cast<T*>(buffer_.data()); }

 private:
  std::size_t size_;
  DeviceBuffer buffer_;
};

#if defined(ATTNLAB_HOSTEXEC)

/// What plans are made for where a test does not name another device.
inline const cuda::DeviceModel& device_model() { return cuda::kA100; }

/// Runs `body`, which launches kernels and checks their results, once per schedule: warps in order,
/// in reverse, at random, and one warp far ahead of the others; asynchronous copies as early and as
/// late as they may be. A kernel's fault fails the test and ends it.
inline void run_kernels_everywhere(const std::function<void()>& body) {
  using hostexec::Completion;
  using hostexec::Order;
  struct Named {
    const char* name;
    hostexec::Schedule schedule;
  };
  const Named all[] = {
      {"in order, copies late", {Order::kInOrder, Completion::kLatest, 0}},
      {"reverse, copies early", {Order::kReverse, Completion::kEarliest, 0}},
      {"random, copies at random", {Order::kRandom, Completion::kRandom, 1}},
      {"one warp ahead, copies late", {Order::kRunAhead, Completion::kLatest, 2}},
  };
  for (const Named& named : all) {
    SCOPED_TRACE(std::string("schedule: ") + named.name);
    hostexec::set_schedule(named.schedule);
    try {
      body();
    } catch (const hostexec::KernelFault& fault) {
      ADD_FAILURE() << fault.what();
    }
    hostexec::set_schedule({});
    if (::testing::Test::HasFailure()) return;
  }
}

#else

/// The GPU's own.
inline const cuda::DeviceModel& device_model() { return device::model(); }

/// A GPU has one way of running kernels, its own.
inline void run_kernels_everywhere(const std::function<void()>& body) {
  body();
  device::synchronize();
}

#endif

}  // namespace attnlab::testing
