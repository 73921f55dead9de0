#include <cuda_runtime.h>

#include <string>

#include "kernels/core/error.h"
#include "kernels/cuda/launch.h"

namespace attnlab::cuda {
namespace {

// More than this must be asked for by an attribute of the kernel.
constexpr int kSharedBytesWithoutOptIn = 48 * 1024;

std::string describe(const LaunchConfig& config) {
  return "grid " + std::to_string(config.grid.x) + "x" + std::to_string(config.grid.y) + "x" +
         std::to_string(config.grid.z) + ", " + std::to_string(config.threads) + " threads, " +
         std::to_string(config.shared_bytes) + " bytes of shared memory";
}

void check(cudaError_t error, const char* what, const LaunchConfig& config) {
  if (error == cudaSuccess) return;
  throw DeviceError(std::string("[cuda] ") + what + " failed (" + describe(config) +
                    "): " + cudaGetErrorString(error) +
                    ". If an earlier kernel is the cause, CUDA_LAUNCH_BLOCKING=1 shows which.");
}

}  // namespace

void launch_kernel(const LaunchConfig& config, const void* kernel, void** parameters) {
  if (config.shared_bytes > kSharedBytesWithoutOptIn) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               config.shared_bytes),
          "setting a kernel's shared memory", config);
  }
  const dim3 grid(static_cast<unsigned>(config.grid.x), static_cast<unsigned>(config.grid.y),
                  static_cast<unsigned>(config.grid.z));
  check(cudaLaunchKernel(kernel, grid, dim3(static_cast<unsigned>(config.threads)), parameters,
                         static_cast<std::size_t>(config.shared_bytes),
                         static_cast<cudaStream_t>(config.stream)),
        "starting a kernel", config);
}

}  // namespace attnlab::cuda
