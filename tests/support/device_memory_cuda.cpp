// Device memory of kernel tests on a GPU. Not built for the host execution model.

#include <cuda_runtime_api.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/device_memory.h"

namespace attnlab::testing::device {
namespace {

constexpr std::size_t kGuardBytes = 4096;
constexpr int kPoison = 0xff;
constexpr int kGuard = 0xa5;

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

/// Sizes of the buffers alive.
std::map<const std::byte*, std::size_t>& sizes() {
  static std::map<const std::byte*, std::size_t> sizes;
  return sizes;
}

bool all_guard(const std::byte* device_data) {
  std::vector<unsigned char> bytes(kGuardBytes);
  check(cudaMemcpy(bytes.data(), device_data, kGuardBytes, cudaMemcpyDeviceToHost),
        "reading guards");
  return std::ranges::all_of(bytes, [](unsigned char byte) { return byte == kGuard; });
}

int attribute(cudaDeviceAttr name) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, name, 0), "reading the device's properties");
  return value;
}

}  // namespace

std::byte* allocate(std::size_t bytes) {
  void* block = nullptr;
  check(cudaMalloc(&block, bytes + 2 * kGuardBytes), "allocating device memory");
  check(cudaMemset(block, kGuard, bytes + 2 * kGuardBytes), "writing guards");
  std::byte* data = static_cast<std::byte*>(block) + kGuardBytes;
  sizes()[data] = bytes;
  poison(data, bytes);
  return data;
}

void release(std::byte* data) {
  if (data == nullptr) return;
  sizes().erase(data);
  check(cudaFree(data - kGuardBytes), "freeing device memory");
}

bool guards_intact(const std::byte* data) {
  if (data == nullptr) return true;
  synchronize();
  return all_guard(data - kGuardBytes) && all_guard(data + sizes().at(data));
}

void upload(std::byte* to, const void* from, std::size_t bytes) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "copying to the device");
}

void download(void* to, const std::byte* from, std::size_t bytes) {
  synchronize();
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "copying from the device");
}

void poison(std::byte* data, std::size_t bytes) {
  synchronize();
  check(cudaMemset(data, kPoison, bytes), "poisoning device memory");
}

void synchronize() { check(cudaDeviceSynchronize(), "a kernel failed"); }

const cuda::DeviceModel& model() {
  static const cuda::DeviceModel model{
      .compute_capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor) +
                            attribute(cudaDevAttrComputeCapabilityMinor),
      .multiprocessors = attribute(cudaDevAttrMultiProcessorCount),
      .shared_bytes_per_block = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin),
      .l2_bytes = attribute(cudaDevAttrL2CacheSize)};
  return model;
}

}  // namespace attnlab::testing::device
