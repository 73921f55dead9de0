// The device behind kernels/ops/device.h: properties, memory statistics, events, plans.

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/StringUtil.h>
#include <cuda_runtime_api.h>

#include <array>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/cuda/decode/decode_attention.h"
#include "kernels/cuda/flash_attention.h"
#include "kernels/cuda/linear/linear_attention.h"
#include "kernels/ops/cuda_call.h"
#include "kernels/ops/cuda_clocks.h"
#include "kernels/ops/device.h"
#include "kernels/ops/torch_pch.h"

namespace attnlab::ops {
namespace {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw DeviceError(c10::str("[cuda] ", what, " failed: ", cudaGetErrorString(error)));
}

/// "13.0" of 13000.
std::string version(int number) { return c10::str(number / 1000, ".", number % 1000 / 10); }

/// A start and a stop on one stream.
class EventPair {
 public:
  EventPair() {
    check(cudaEventCreate(&start_), "making an event");
    if (const cudaError_t error = cudaEventCreate(&stop_); error != cudaSuccess) {
      cudaEventDestroy(start_);
      check(error, "making an event");
    }
  }
  ~EventPair() {
    cudaEventDestroy(start_);
    cudaEventDestroy(stop_);
  }
  EventPair(const EventPair&) = delete;
  EventPair& operator=(const EventPair&) = delete;

  void start(cudaStream_t stream) { check(cudaEventRecord(start_, stream), "recording an event"); }
  void stop(cudaStream_t stream) { check(cudaEventRecord(stop_, stream), "recording an event"); }

  /// Waits for the stop.
  double milliseconds() const {
    check(cudaEventSynchronize(stop_), "waiting for an event");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, start_, stop_), "reading an event");
    return ms;
  }

 private:
  cudaEvent_t start_ = nullptr;
  cudaEvent_t stop_ = nullptr;
};

OpPlan from_kernel(const KernelPlan& plan) { return {plan.kernel_name, plan.workspace_bytes, 0}; }

class CudaDevice final : public Device {
 public:
  /// A first small tensor makes LibTorch start its CUDA half: memory statistics need that.
  CudaDevice() { at::empty({1}, at::TensorOptions().device(at::kCUDA)); }

  DeviceInfo info() const override {
    cudaDeviceProp properties = {};
    check(cudaGetDeviceProperties(&properties, index()), "reading the device's properties");
    int driver = 0;
    int runtime = 0;
    check(cudaDriverGetVersion(&driver), "reading the driver's version");
    check(cudaRuntimeGetVersion(&runtime), "reading the runtime's version");
    return {.name = properties.name,
            .compute_capability = 10 * properties.major + properties.minor,
            .multiprocessors = properties.multiProcessorCount,
            .memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem),
            .l2_bytes = properties.l2CacheSize,
            .driver_version = version(driver),
            .runtime_version = version(runtime)};
  }

  DeviceClocks clocks() const override {
    std::array<char, 32> bus_id = {};
    check(cudaDeviceGetPCIBusId(bus_id.data(), static_cast<int>(bus_id.size()), index()),
          "reading the device's PCI address");
    return read_clocks(bus_id.data());
  }

  void synchronize() const override { check(cudaDeviceSynchronize(), "waiting for the device"); }

  DeviceMemory memory() const override {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(index());
    constexpr auto kAll = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    check(cudaMemGetInfo(&free_bytes, &total_bytes), "reading the device's free memory");
    const std::int64_t cached =
        stats.reserved_bytes[kAll].current - stats.allocated_bytes[kAll].current;
    return {.live_bytes = stats.requested_bytes[kAll].current,
            .peak_bytes = stats.requested_bytes[kAll].peak,
            .available_bytes = static_cast<std::int64_t>(free_bytes) + cached};
  }

  void reset_peak_memory() const override {
    c10::cuda::CUDACachingAllocator::resetPeakStats(index());
  }

  void release_cached_memory() const override { c10::cuda::CUDACachingAllocator::emptyCache(); }

  std::vector<double> time_ms(const std::function<void()>& run,
                              const DeviceTiming& timing) const override {
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream(index()).stream();
    at::Tensor flushed;
    if (timing.flush_l2) {
      flushed = at::empty({2 * device_model(index()).l2_bytes},
                          at::TensorOptions().dtype(at::kByte).device(at::kCUDA));
    }
    std::vector<EventPair> events(static_cast<std::size_t>(timing.samples));
    for (EventPair& pair : events) {
      if (timing.flush_l2) {
        check(cudaMemsetAsync(flushed.mutable_data_ptr(), 0,
                              static_cast<std::size_t>(flushed.numel()), stream),
              "flushing the L2 cache");
      }
      pair.start(stream);
      for (std::int64_t i = 0; i < timing.iterations; ++i) run();
      pair.stop(stream);
    }
    synchronize();
    std::vector<double> samples;
    for (const EventPair& pair : events) {
      samples.push_back(pair.milliseconds() / static_cast<double>(timing.iterations));
    }
    return samples;
  }

  OpPlan plan_attention(const AttentionShape& shape) const override {
    constexpr bool kPlainScore = true;
    return from_kernel(cuda::plan_flash_attention(shape, kPlainScore, model()));
  }
  OpPlan plan_attention_backward(const AttentionShape& shape) const override {
    constexpr bool kPlainScore = true;
    return from_kernel(cuda::plan_flash_attention_backward(shape, kPlainScore, model()));
  }
  OpPlan plan_decode_attention(const AttentionShape& shape) const override {
    return from_kernel(cuda::plan_decode_attention(shape, model()));
  }
  OpPlan plan_linear_attention(const AttentionShape& shape, bool causal) const override {
    return from_kernel(cuda::plan_linear_attention(shape, causal, model()));
  }
  OpPlan plan_linear_attention_backward(const AttentionShape& shape, bool causal) const override {
    return from_kernel(cuda::plan_linear_attention_backward(shape, causal, model()));
  }

 private:
  static c10::DeviceIndex index() { return c10::cuda::current_device(); }
  static const cuda::DeviceModel& model() { return device_model(index()); }
};

}  // namespace
}  // namespace attnlab::ops

extern "C" __attribute__((visibility("default"))) attnlab::ops::Device* attnlab_cuda_device() {
  static attnlab::ops::CudaDevice device;
  return &device;
}
