#include "kernels/cpu/flash_attention.h"

#include <cmath>

#include "kernels/cpu/launch.h"

namespace attnlab::cpu {

namespace {

void check_shape(const AttentionShape& shape) {
  const auto fail = [](const std::string& what) {
    throw UnsupportedError("[flash_attention] " + what);
  };
  for (const std::int64_t dim : {shape.head_dim, shape.head_dim_v}) {
    if (dim < 1 || dim > kMaxHeadDim) {
      fail("head dimension " + std::to_string(dim) + " is not supported; allowed: 1 to " +
           std::to_string(kMaxHeadDim));
    }
  }
  if (shape.kv_heads < 1 || shape.heads % shape.kv_heads != 0) {
    fail(std::to_string(shape.heads) + " heads with " + std::to_string(shape.kv_heads) +
         " kv_heads; heads must be a multiple of kv_heads");
  }
}

void check_lengths(const AttentionShape& shape, const MaskOptions& mask) {
  for (std::int64_t b = 0; mask.seqlens_k != nullptr && b < shape.batch; ++b) {
    if (mask.seqlens_k[b] >= 0 && mask.seqlens_k[b] <= shape.seqlen_k) continue;
    throw Error("[flash_attention] seqlens_k of batch item " + std::to_string(b) + " is " +
                std::to_string(mask.seqlens_k[b]) + "; allowed: 0 to " +
                std::to_string(shape.seqlen_k));
  }
}

}  // namespace

KernelPlan plan_flash_attention(const AttentionShape& shape, int max_workers) {
  check_shape(shape);
  const KernelTable& kernels = current_kernels(shape.dtype);
  return make_plan(kernels.flash_name, kernels.flash_partition(shape), max_workers);
}

KernelPlan plan_flash_attention_backward(const AttentionShape& shape, int max_workers) {
  check_shape(shape);
  const KernelTable& kernels = current_kernels(shape.dtype);
  return make_plan(kernels.flash_backward_name, kernels.flash_backward_partition(shape),
                   max_workers);
}

void flash_attention(const AttentionArgs& args, const KernelPlan& plan,
                     std::span<std::byte> workspace, const Parallel& parallel) {
  check_shape(args.shape);
  check_lengths(args.shape, args.mask);
  const KernelTable& kernels = current_kernels(args.shape.dtype);
  const Partition partition = kernels.flash_partition(args.shape);
  check_launch("flash_attention", plan, partition, workspace);
  run_region(args, plan, partition, workspace, partition.num_tasks, 0, kernels.flash, parallel);
}

void flash_attention_backward(const AttentionBackwardArgs& args, const KernelPlan& plan,
                              std::span<std::byte> workspace, const Parallel& parallel) {
  const AttentionShape& shape = args.shape;
  check_shape(shape);
  check_lengths(shape, args.mask);
  const KernelTable& kernels = current_kernels(args.shape.dtype);
  const Partition partition = kernels.flash_backward_partition(shape);
  check_launch("flash_attention_backward", plan, partition, workspace);
  if (kernels.flash_backward_parts(shape) == 1) {
    run_region(args, plan, partition, workspace, partition.num_tasks, 0, kernels.flash_backward,
               parallel);
    return;
  }
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    run_region(args, plan, partition, workspace, partition.num_tasks, b, kernels.flash_backward,
               parallel);
    run_region(args, plan, partition, workspace, kernels.flash_backward_reduce_tasks(shape), b,
               kernels.flash_backward_reduce, parallel);
  }
}

}  // namespace attnlab::cpu
