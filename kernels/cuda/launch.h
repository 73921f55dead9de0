// How kernels are started: one function, no <<<>>>, the same in the library and under the host
// execution model of the tests.
#pragma once

#include <type_traits>
#include <utility>

namespace attnlab::cuda {

/// A cudaStream_t; null = the default stream.
using Stream = void*;

struct Dim3 {
  int x = 1;
  int y = 1;
  int z = 1;
};

struct LaunchConfig {
  Dim3 grid;             ///< x up to 2^31 - 1, y and z up to 65535; all at least 1
  int threads = 128;     ///< of a block; a multiple of 32, up to 1024
  int shared_bytes = 0;  ///< dynamic shared memory of a block
  Stream stream = nullptr;
};

/// Starts `kernel(arguments...)` and returns before it ends. The arguments are converted to the
/// kernel's parameter types, which are trivially copyable. Throws DeviceError where the
/// configuration is refused or an earlier kernel has failed.
template <class... Parameters, class... Arguments>
void launch(const LaunchConfig& config, void (*kernel)(Parameters...), Arguments&&... arguments);

}  // namespace attnlab::cuda

#if defined(ATTNLAB_HOSTEXEC)
#include <hostexec/launch.h>
#else
#include "kernels/cuda/launch_device.h"
#endif
