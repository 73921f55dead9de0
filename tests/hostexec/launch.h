// launch() of kernels/cuda/launch.h under the host execution model.
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "hostexec/keywords.h"
#include "hostexec/scheduler.h"
#include "kernels/cuda/launch.h"

namespace attnlab::cuda {

/// Without the hooks in it, a kernel would run unchecked.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kIsInstrumented = true;
#else
inline constexpr bool kIsInstrumented = false;
#endif

/// A call of a kernel with copies of its arguments. They lie on the host's stack: reading them is
/// no access of the kernel, so nothing here is instrumented.
template <class... Parameters>
struct BoundKernel {
  void (*kernel)(Parameters...);
  std::tuple<std::remove_cvref_t<Parameters>...> arguments;

  __attribute__((no_sanitize("thread"))) static void run_thread(void* bound) {
    call(*static_cast<const BoundKernel*>(bound), std::index_sequence_for<Parameters...>());
  }
  template <std::size_t... kIndex>
  __attribute__((no_sanitize("thread"))) static void call(const BoundKernel& bound,
                                                          std::index_sequence<kIndex...>) {
    bound.kernel(std::get<kIndex>(bound.arguments)...);
  }
};

template <class... Parameters, class... Arguments>
void launch(const LaunchConfig& config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert(kIsInstrumented && sizeof...(Parameters) >= 0,
                "name this source among the KERNELS of attnlab_hostexec_test");
  static_assert((std::is_trivially_copyable_v<std::remove_cvref_t<Parameters>> && ...));
  BoundKernel<Parameters...> bound{kernel, {std::forward<Arguments>(arguments)...}};
  hostexec::run_kernel({reinterpret_cast<const void*>(kernel),
                        {config.grid.x, config.grid.y, config.grid.z},
                        config.threads,
                        config.shared_bytes,
                        BoundKernel<Parameters...>::run_thread,
                        &bound});
}

}  // namespace attnlab::cuda
