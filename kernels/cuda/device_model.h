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

/// Whether there is machine code for a device: the library carries that of sm_80 (which 8.6 and 8.9
/// run too) and sm_90, and no PTX for later ones.
constexpr bool is_supported(int compute_capability) {
  return compute_capability >= 80 && compute_capability <= 90;
}
inline constexpr const char* kSupportedDevices = "8.0 to 9.0 (Ampere, Ada, Hopper)";

/// Data sheets: A100 and H100 (SXM).
inline constexpr DeviceModel kA100{};
inline constexpr DeviceModel kH100{90, 132, 227 * 1024, 50 * 1024 * 1024};

}  // namespace attnlab::cuda
