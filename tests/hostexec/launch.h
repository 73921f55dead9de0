// launch() of kernels/cuda/launch.h under the host execution model.
#pragma once

#include <type_traits>
#include <utility>

#include "hostexec/keywords.h"
#include "hostexec/scheduler.h"
#include "kernels/cuda/launch.h"

namespace attnlab::cuda {

template <class... Parameters, class... Arguments>
void launch(const LaunchConfig& config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert((std::is_trivially_copyable_v<std::remove_cvref_t<Parameters>> && ...));
  // Braces fix the order of conversions; the copies live until the last block has ended.
  [&](std::remove_cvref_t<Parameters>... copies) {
    // Reads the copies on the host's stack: not an access of the kernel.
    auto thread = [&]() __attribute__((no_sanitize("thread"), noinline)) { kernel(copies...); };
    hostexec::run_kernel({.kernel = reinterpret_cast<const void*>(kernel),
                          .grid = {config.grid.x, config.grid.y, config.grid.z},
                          .threads = config.threads,
                          .shared_bytes = config.shared_bytes,
                          .body = [](void* body) __attribute__((no_sanitize("thread"))) {
                            (*static_cast<decltype(thread)*>(body))();
  },
      .argument = &thread
});
}
(std::forward<Arguments>(arguments)...);
}

}  // namespace attnlab::cuda
