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

}  // namespace

KernelPlan plan_linear_attention(const AttentionShape& shape, bool causal, int max_workers) {
  check_shape(shape, causal);
  const KernelTable& kernels = current_kernels(shape.dtype);
  return make_plan(kernels.linear_name, kernels.linear_partition(shape, causal), max_workers);
}

KernelPlan plan_linear_attention_backward(const AttentionShape& shape, bool causal,
                                          int max_workers) {
  check_shape(shape, causal);
  const KernelTable& kernels = current_kernels(shape.dtype);
  return make_plan(kernels.linear_backward_name, kernels.linear_backward_partition(shape, causal),
                   max_workers);
}

void linear_attention(const LinearAttentionArgs& args, const KernelPlan& plan,
                      std::span<std::byte> workspace, const Parallel& parallel) {
  check_shape(args.shape, args.options.causal);
  check_options(args.options);
  const KernelTable& kernels = current_kernels(args.shape.dtype);
  const Partition partition = kernels.linear_partition(args.shape, args.options.causal);
  check_launch("linear_attention", plan, partition, workspace);
  run_region(args, plan, partition, workspace, partition.num_tasks, 0, kernels.linear, parallel);
}

void linear_attention_backward(const LinearAttentionBackwardArgs& args, const KernelPlan& plan,
                               std::span<std::byte> workspace, const Parallel& parallel) {
  check_shape(args.shape, args.options.causal);
  check_options(args.options);
  const KernelTable& kernels = current_kernels(args.shape.dtype);
  const Partition partition = kernels.linear_backward_partition(args.shape, args.options.causal);
  check_launch("linear_attention_backward", plan, partition, workspace);
  run_region(args, plan, partition, workspace, partition.num_tasks, 0, kernels.linear_backward,
             parallel);
}

}  // namespace attnlab::cpu
