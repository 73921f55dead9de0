// launch() on a device. Included by launch.h only.
#pragma once

#include <cstddef>

#include "kernels/cuda/launch.h"

namespace attnlab::cuda {

/// The part without types: `parameters` points to one pointer per parameter.
void launch_kernel(const LaunchConfig& config, const void* kernel, void** parameters);

template <class... Parameters, class... Arguments>
void launch(const LaunchConfig& config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert((std::is_trivially_copyable_v<std::remove_cvref_t<Parameters>> && ...));
  // Braces fix the order of conversions; the tuple of copies lives until the launch has read them.
  [&](std::remove_cvref_t<Parameters>... copies) {
    void* pointers[] = {static_cast<void*>(&copies)..., nullptr};
    launch_kernel(config, reinterpret_cast<const void*>(kernel), pointers);
  }(std::forward<Arguments>(arguments)...);
}

}  // namespace attnlab::cuda
