// How kernels get threads: a callable from the operator layer (LibTorch's pool there, plain threads
// in tests). Kernels start no thread of their own.
#pragma once

#include <functional>

namespace attnlab {

/// Calls body(worker) once for each worker in [0, num_workers), possibly at the same time, and
/// returns when all have ended. Kernels hand out tasks to workers through an atomic counter, so it
/// is also correct (only slower) to call the bodies one after another.
using Parallel = std::function<void(int num_workers, const std::function<void(int worker)>& body)>;

}  // namespace attnlab
