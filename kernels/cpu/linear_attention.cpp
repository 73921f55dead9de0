#include "kernels/cpu/linear_attention.h"

#include "kernels/cpu/launch.h"

namespace attnlab::cpu {

namespace {

void check_shape(const AttentionShape& shape, bool causal) {
  const auto fail = [](const std::string& what) {
    throw UnsupportedError("[linear_attention] " + what);
  };
  if (shape.head_dim < 1 || shape.head_dim_v < 1) {
    fail("head_dim " + std::to_string(shape.head_dim) + " and head_dim_v " +
         std::to_string(shape.head_dim_v) + " must be positive");
  }
  if (shape.kv_heads < 1 || shape.heads % shape.kv_heads != 0) {
    fail(std::to_string(shape.heads) + " heads with " + std::to_string(shape.kv_heads) +
         " kv_heads; heads must be a multiple of kv_heads");
  }
  if (causal && shape.seqlen_q != shape.seqlen_k) {
    fail("causal with seqlen_q " + std::to_string(shape.seqlen_q) + " and seqlen_k " +
         std::to_string(shape.seqlen_k) + "; they must be equal");
  }
}

void check_options(const LinearOptions& options) {
  if (options.log_decay != nullptr && !options.causal) {
    throw UnsupportedError("[linear_attention] log_decay needs causal=true");
  }
}

/// Whether to cut heads into segments of the sequence: the states of the segments cost a third more
/// operations, so workers must be more than heads by as much. The bits are the same either way.
bool worth_splitting(const Partition& heads, const Partition& split, int max_workers) {
  return split.num_tasks > heads.num_tasks && 3 * max_workers >= 4 * heads.num_tasks &&
         max_workers > heads.num_tasks;
}

/// Only a split plan has more workers than there are heads.
bool is_split(const KernelPlan& plan, const Partition& heads) {
  return plan.num_workers > heads.num_tasks;
}

/// The regions of a split kernel, one after the other.
template <class Args>
void run_phases(const Args& args, const KernelPlan& plan, const Partition& partition,
                std::span<std::byte> workspace,
                std::int64_t (*phase_tasks)(const AttentionShape&, std::int64_t),
                void (*kernel)(const Job<Args>&), const Parallel& parallel) {
  std::byte* const scratch =
      workspace.data() + round_up(partition.shared_bytes, kWorkspaceAlignment);
  for (std::int64_t phase = 0; phase_tasks(args.shape, phase) >= 0; ++phase) {
    TaskQueue queue(phase_tasks(args.shape, phase));
    parallel(plan.num_workers, [&](int worker) {
      kernel(
          {&args, &queue, workspace.data(), scratch + worker * partition.scratch_bytes, 0, phase});
    });
  }
}

}  // namespace

KernelPlan plan_linear_attention(const AttentionShape& shape, bool causal, int max_workers) {
  check_shape(shape, causal);
  const KernelTable& kernels = current_kernels(shape.dtype);
  const Partition heads = kernels.linear_partition(shape, causal);
  if (!causal) return make_plan(kernels.linear_name, heads, max_workers);
  const Partition split = kernels.linear_split_partition(shape);
  return make_plan(kernels.linear_name, worth_splitting(heads, split, max_workers) ? split : heads,
                   max_workers);
}

KernelPlan plan_linear_attention_backward(const AttentionShape& shape, bool causal,
                                          int max_workers) {
  check_shape(shape, causal);
  const KernelTable& kernels = current_kernels(shape.dtype);
  const Partition heads = kernels.linear_backward_partition(shape, causal);
  if (!causal) return make_plan(kernels.linear_backward_name, heads, max_workers);
  const Partition split = kernels.linear_backward_split_partition(shape);
  return make_plan(kernels.linear_backward_name,
                   worth_splitting(heads, split, max_workers) ? split : heads, max_workers);
}

void linear_attention(const LinearAttentionArgs& args, const KernelPlan& plan,
                      std::span<std::byte> workspace, const Parallel& parallel) {
  check_shape(args.shape, args.options.causal);
  check_options(args.options);
  const KernelTable& kernels = current_kernels(args.shape.dtype);
  const Partition heads = kernels.linear_partition(args.shape, args.options.causal);
  if (args.options.causal && is_split(plan, heads)) {
    const Partition split = kernels.linear_split_partition(args.shape);
    check_launch("linear_attention", plan, split, workspace);
    run_phases(args, plan, split, workspace, kernels.linear_phase_tasks, kernels.linear_split,
               parallel);
    return;
  }
  check_launch("linear_attention", plan, heads, workspace);
  run_region(args, plan, heads, workspace, heads.num_tasks, 0, kernels.linear, parallel);
}

void linear_attention_backward(const LinearAttentionBackwardArgs& args, const KernelPlan& plan,
                               std::span<std::byte> workspace, const Parallel& parallel) {
  check_shape(args.shape, args.options.causal);
  check_options(args.options);
  const KernelTable& kernels = current_kernels(args.shape.dtype);
  const Partition heads = kernels.linear_backward_partition(args.shape, args.options.causal);
  if (args.options.causal && is_split(plan, heads)) {
    const Partition split = kernels.linear_backward_split_partition(args.shape);
    check_launch("linear_attention_backward", plan, split, workspace);
    run_phases(args, plan, split, workspace, kernels.linear_backward_phase_tasks,
               kernels.linear_backward_split, parallel);
    return;
  }
  check_launch("linear_attention_backward", plan, heads, workspace);
  run_region(args, plan, heads, workspace, heads.num_tasks, 0, kernels.linear_backward, parallel);
}

}  // namespace attnlab::cpu
