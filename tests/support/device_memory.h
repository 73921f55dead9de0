// Where device memory of kernel tests comes from: the host execution model, or a GPU
// (device_memory_cuda.cpp). Exact sizes, 256-byte aligned, every byte 0xFF at first, with guard
// zones around that tell whether somebody wrote beside a buffer.
#pragma once

#include <cstddef>
#include <cstring>

#include "kernels/cuda/device_model.h"

#if defined(ATTNLAB_HOSTEXEC)
#include "tests/hostexec/memory.h"
#endif

namespace attnlab::testing::device {

#if defined(ATTNLAB_HOSTEXEC)

using hostexec::allocate;
using hostexec::guards_intact;
using hostexec::release;
inline void upload(std::byte* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}
inline void download(void* to, const std::byte* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}
inline void poison(std::byte* data, std::size_t bytes) { std::memset(data, 0xff, bytes); }

#else

// All wait for the device first, and throw std::runtime_error where it reports an error.
std::byte* allocate(std::size_t bytes);
void release(std::byte* data);
bool guards_intact(const std::byte* data);
void upload(std::byte* to, const void* from, std::size_t bytes);
void download(void* to, const std::byte* from, std::size_t bytes);
void poison(std::byte* data, std::size_t bytes);
void synchronize();
const cuda::DeviceModel& model();

#endif

}  // namespace attnlab::testing::device
