#include "kernels/ops/cuda_call.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/StringUtil.h>
#include <cuda_runtime_api.h>

#include <array>
#include <mutex>
#include <optional>

#include "kernels/core/error.h"

namespace attnlab::ops {
namespace {

constexpr int kMaxDevices = 64;

int attribute(cudaDeviceAttr name, int device) {
  int value = 0;
  const cudaError_t error = cudaDeviceGetAttribute(&value, name, device);
  if (error == cudaSuccess) return value;
  throw DeviceError(c10::str("[cuda] attribute ", static_cast<int>(name), " of device ", device,
                             " could not be read: ", cudaGetErrorString(error)));
}

cuda::DeviceModel read_model(int device) {
  const cuda::DeviceModel model{
      .compute_capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor, device) +
                            attribute(cudaDevAttrComputeCapabilityMinor, device),
      .multiprocessors = attribute(cudaDevAttrMultiProcessorCount, device),
      .shared_bytes_per_block = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
      .l2_bytes = attribute(cudaDevAttrL2CacheSize, device)};
  if (!cuda::is_supported(model.compute_capability)) {
    throw DeviceError(c10::str("[cuda] device ", device, " has compute capability ",
                               model.compute_capability / 10, ".", model.compute_capability % 10,
                               ", but the kernels are built for ", cuda::kSupportedDevices,
                               ". Use device=cpu."));
  }
  return model;
}

}  // namespace

const cuda::DeviceModel& device_model(c10::DeviceIndex device) {
  static std::mutex mutex;
  static std::array<std::optional<cuda::DeviceModel>, kMaxDevices> models;
  if (device < 0 || device >= kMaxDevices) {
    throw DeviceError(c10::str("[cuda] device index ", static_cast<int>(device),
                               " is out of range: 0 to ", kMaxDevices - 1, " are supported."));
  }
  const std::lock_guard lock(mutex);
  std::optional<cuda::DeviceModel>& model = models[static_cast<std::size_t>(device)];
  if (!model) model = read_model(device);
  return *model;
}

CudaCall::CudaCall(const at::Tensor& tensor)
    : guard_(tensor.device()),
      model_(device_model(guard_.current_device().index())),
      stream_(c10::cuda::getCurrentCUDAStream(guard_.current_device().index()).stream()) {}

at::Tensor CudaCall::workspace(const KernelPlan& plan) const {
  return at::empty({plan.workspace_bytes},
                   at::TensorOptions().dtype(at::kByte).device(guard_.current_device()));
}

}  // namespace attnlab::ops
