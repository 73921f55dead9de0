#include "kernels/ops/torch_parallel.h"

#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>

#include <algorithm>
#include <atomic>

#ifndef _OPENMP
#error "compile this file with -fopenmp, or at::parallel_for is silently sequential"
#endif

namespace attnlab::ops {

const Parallel& torch_parallel() {
  static const Parallel parallel = [](int num_workers, const std::function<void(int)>& body) {
    at::parallel_for(0, num_workers, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t worker = begin; worker < end; ++worker) body(static_cast<int>(worker));
    });
  };
  return parallel;
}

int num_threads() { return at::get_num_threads(); }

void for_each_task(std::int64_t num_tasks, const std::function<void(std::int64_t)>& task) {
  if (num_tasks <= 0) return;
  std::atomic<std::int64_t> next{0};
  // At least two workers: a single one would not open a parallel region, and outside of one the
  // matrix library uses all threads, which changes the order of its sums.
  const int num_workers =
      std::max<int>(2, static_cast<int>(std::min<std::int64_t>(num_threads(), num_tasks)));
  torch_parallel()(num_workers, [&](int) {
    // Dispatch state is per thread: what runs here is below autograd, as in the calling kernel.
    const at::AutoDispatchBelowADInplaceOrView guard;
    for (std::int64_t i = next++; i < num_tasks; i = next++) task(i);
  });
}

}  // namespace attnlab::ops
