// LibTorch's intra-op thread pool as the `Parallel` that kernels are given.
#pragma once

#include <cstdint>
#include <functional>

#include "kernels/core/parallel.h"

namespace attnlab::ops {

/// Runs the bodies on LibTorch's pool; one after another inside a parallel region.
const Parallel& torch_parallel();

/// at::get_num_threads(): the worker limit that plans are made for.
int num_threads();

/// Calls task(i) once for each i in [0, num_tasks), on the pool, each on one thread: a library that
/// `task` calls (a matrix product) does not split its work further. So results do not depend on the
/// number of threads where the tasks do not. Tasks may call Torch operators.
void for_each_task(std::int64_t num_tasks, const std::function<void(std::int64_t)>& task);

}  // namespace attnlab::ops
