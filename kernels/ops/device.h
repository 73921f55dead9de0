// The CUDA device as the layers above see it: whether it can be had, what it is, its plans, its
// clock and its memory. No CUDA header is needed to use it. The implementation is in
// libattnlab_cuda.so, beside libattnlab.so, which is loaded with LibTorch's CUDA half when a device
// is first asked for: the program starts on machines without NVIDIA's libraries.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/core/attention_args.h"
#include "kernels/ops/ops.h"

namespace attnlab::ops {

struct DeviceInfo {
  std::string name;            ///< "NVIDIA H100 80GB HBM3"
  int compute_capability = 0;  ///< 10 * major + minor
  int multiprocessors = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t l2_bytes = 0;
  std::string driver_version;   ///< of CUDA that the driver supports, "13.0"
  std::string runtime_version;  ///< of the CUDA runtime in use
};

/// What NVML tells; empty and zero where it is not there.
struct DeviceClocks {
  bool known = false;
  int sm_mhz = 0;
  int sm_max_mhz = 0;
  int memory_mhz = 0;
  int power_w = 0;
  int temperature_c = 0;
  /// Why the clock is below its maximum, in words, without "idle": "power cap", ...
  std::vector<std::string> throttle_reasons = {};
};

/// Bytes asked of Torch's caching allocator on the device, and what the device has left.
struct DeviceMemory {
  std::int64_t live_bytes = 0;
  std::int64_t peak_bytes = 0;       ///< highest live_bytes since reset_peak_memory
  std::int64_t available_bytes = 0;  ///< free on the device, or cached by Torch and not in use
};

struct DeviceTiming {
  std::int64_t samples = 1;
  std::int64_t iterations = 1;  ///< runs in a row, whose mean is one sample
  bool flush_l2 = false;        ///< overwrite twice the L2 cache before each sample, untimed
};

/// The current CUDA device. Calls are for one thread at a time.
class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceInfo info() const = 0;
  virtual DeviceClocks clocks() const = 0;
  virtual void synchronize() const = 0;

  virtual DeviceMemory memory() const = 0;
  virtual void reset_peak_memory() const = 0;
  /// Gives cached memory that is not in use back to the device.
  virtual void release_cached_memory() const = 0;

  /// Milliseconds of one run, by CUDA events on the current stream, a number per sample. `run` only
  /// starts work; everything is awaited before the call returns.
  virtual std::vector<double> time_ms(const std::function<void()>& run,
                                      const DeviceTiming& timing) const = 0;

  /// As the functions of the same names in ops.h.
  virtual OpPlan plan_attention(const AttentionShape& shape) const = 0;
  virtual OpPlan plan_attention_backward(const AttentionShape& shape) const = 0;
  virtual OpPlan plan_decode_attention(const AttentionShape& shape) const = 0;
  virtual OpPlan plan_linear_attention(const AttentionShape& shape, bool causal) const = 0;
  virtual OpPlan plan_linear_attention_backward(const AttentionShape& shape, bool causal) const = 0;
};

/// Loads the CUDA operators on the first call. Throws DeviceError that names what is missing: a
/// build without CUDA, the driver, a GPU, LibTorch's CUDA libraries, or a GPU that is too old.
Device& cuda_device();

/// Why cuda_device() throws; empty where it does not.
std::string why_no_cuda();

/// The device if it has been loaded already, else null. Loads nothing.
Device* loaded_cuda_device();

/// What libattnlab_cuda.so exports: `extern "C" attnlab::ops::Device* attnlab_cuda_device()`.
inline constexpr const char* kCudaDeviceEntry = "attnlab_cuda_device";

}  // namespace attnlab::ops
