// From a partition to a plan, and from a plan to parallel regions; shared by the kernels of this
// backend. Compiled for every machine.
#pragma once

#include <algorithm>
#include <span>
#include <string>

#include "kernels/core/error.h"
#include "kernels/core/parallel.h"
#include "kernels/cpu/arena.h"
#include "kernels/cpu/kernel_table.h"

namespace attnlab::cpu {

inline KernelPlan make_plan(const char* name, const Partition& partition, int max_workers) {
  const std::int64_t workers = std::clamp<std::int64_t>(partition.num_tasks, 1, max_workers);
  return {
      name, static_cast<int>(workers),
      round_up(partition.shared_bytes, kWorkspaceAlignment) + workers * partition.scratch_bytes};
}

/// Throws where the caller's plan or workspace does not fit the shape.
inline void check_launch(const char* kernel, const KernelPlan& plan, const Partition& partition,
                         std::span<std::byte> workspace) {
  const KernelPlan expected = make_plan(plan.kernel_name, partition, std::max(plan.num_workers, 1));
  const auto address = reinterpret_cast<std::uintptr_t>(workspace.data());
  const auto size = static_cast<std::int64_t>(workspace.size());
  if (plan.num_workers != expected.num_workers || size < expected.workspace_bytes) {
    throw Error("[" + std::string(kernel) + "] the plan does not fit the shape: " +
                std::to_string(plan.num_workers) + " workers with " + std::to_string(size) +
                " bytes, needed are " + std::to_string(expected.num_workers) + " workers with " +
                std::to_string(expected.workspace_bytes) +
                " bytes; make the plan from the same shape");
  }
  if (address % kWorkspaceAlignment != 0) {
    throw Error("[" + std::string(kernel) + "] the workspace is at an address that is " +
                std::to_string(address % kWorkspaceAlignment) +
                " bytes past a multiple of 64; align it to 64 bytes");
  }
}

/// One region of `num_tasks` tasks.
template <class Args>
void run_region(const Args& args, const KernelPlan& plan, const Partition& partition,
                std::span<std::byte> workspace, std::int64_t num_tasks, std::int64_t batch_idx,
                void (*kernel)(const Job<Args>&), const Parallel& parallel) {
  if (num_tasks == 0) return;
  TaskQueue queue(num_tasks);
  std::byte* const scratch =
      workspace.data() + round_up(partition.shared_bytes, kWorkspaceAlignment);
  parallel(plan.num_workers, [&](int worker) {
    kernel(
        {&args, &queue, workspace.data(), scratch + worker * partition.scratch_bytes, batch_idx});
  });
}

}  // namespace attnlab::cpu
