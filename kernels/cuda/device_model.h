// What plans of CUDA kernels know about a device. Plans depend on the shape and on this, and on
// nothing else, so that they can be made, and tested, where there is no device.
#pragma once

#include <cstdint>

namespace attnlab::cuda {

struct DeviceModel {
  int compute_capability = 80;  ///< 10 * major + minor
  int multiprocessors = 108;
  int shared_bytes_per_block = 163 * 1024;  ///< opt-in maximum of dynamic shared memory
  std::int64_t l2_bytes = 40 * 1024 * 1024;
};

/// Data sheets: A100 and H100 (SXM).
inline constexpr DeviceModel kA100{};
inline constexpr DeviceModel kH100{90, 132, 227 * 1024, 50 * 1024 * 1024};

}  // namespace attnlab::cuda
