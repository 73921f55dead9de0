// What every CUDA operator call begins with: the device of its tensors, the stream, scratch.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAGuard.h>

#include "kernels/core/attention_args.h"
#include "kernels/cuda/device_model.h"
#include "kernels/cuda/launch.h"

namespace attnlab::ops {

/// The properties that plans depend on, read once per device. Throws DeviceError for a device of
/// compute capability below 8.0, which the kernels are not built for.
const cuda::DeviceModel& device_model(c10::DeviceIndex device);

/// Makes the device of `tensor` the current one while it lives. Kernels run on that device's
/// current stream.
class CudaCall {
 public:
  explicit CudaCall(const at::Tensor& tensor);

  const cuda::DeviceModel& model() const { return model_; }
  cuda::Stream stream() const { return stream_; }

  /// Scratch from Torch's caching allocator, so that memory counts include it; 512-byte aligned. It
  /// may be given back while the kernel runs: the allocator hands it out again on this stream only.
  at::Tensor workspace(const KernelPlan& plan) const;

 private:
  c10::cuda::CUDAGuard guard_;
  const cuda::DeviceModel& model_;
  cuda::Stream stream_;
};

}  // namespace attnlab::ops
