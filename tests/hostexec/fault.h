// What a kernel did wrong. Everything in tests/hostexec that kernels' translation units include is
// declarations and thin templates: the work is done in files that are not instrumented.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

namespace attnlab::hostexec {

/// Where a wrapper of kernels/cuda/ptx.h was called.
using Site = std::source_location;

/// A kernel broke a rule that a device would not report, or only by wrong results. Thrown by the
/// launch, on the host; the message names kernel, block, thread and source line.
class KernelFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// "flash_forward.cuh:71".
std::string describe(const Site& site);

/// Ends the launch with a KernelFault: from a thread of a kernel it never returns to it (the thread
/// is abandoned and the launch throws), elsewhere it throws at once.
[[noreturn]] void fail(std::string what);

}  // namespace attnlab::hostexec
