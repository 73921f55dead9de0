#include "kernels/cpu/decode_attention.h"

#include "kernels/core/score.h"
#include "kernels/cpu/flash_attention.h"
#include "kernels/cpu/launch.h"

namespace attnlab::cpu {

namespace {

void check_shape(const AttentionShape& shape) {
  const auto fail = [](const std::string& what) {
    throw UnsupportedError("[decode_attention] " + what);
  };
  for (const std::int64_t dim : {shape.head_dim, shape.head_dim_v}) {
    if (dim < 1 || dim > kMaxHeadDim) {
      fail("head dimension " + std::to_string(dim) + " is not supported; allowed: 1 to " +
           std::to_string(kMaxHeadDim));
    }
  }
  if (shape.seqlen_q < 1 || shape.seqlen_q > kMaxDecodeQueries) {
    fail(std::to_string(shape.seqlen_q) + " queries; allowed: 1 to " +
         std::to_string(kMaxDecodeQueries) + "; use attention for more");
  }
  if (shape.kv_heads < 1 || shape.heads % shape.kv_heads != 0) {
    fail(std::to_string(shape.heads) + " heads with " + std::to_string(shape.kv_heads) +
         " kv_heads; heads must be a multiple of kv_heads");
  }
}

void check_rules(const AttentionShape& shape, const MaskOptions& mask, const ScoreOptions& score) {
  if (!mask.causal || mask.window_left >= 0 || !is_plain(score)) {
    throw UnsupportedError(
        "[decode_attention] only the causal mask without window, soft-cap and ALiBi is supported; "
        "use attention for others");
  }
  for (std::int64_t b = 0; mask.seqlens_k != nullptr && b < shape.batch; ++b) {
    if (mask.seqlens_k[b] >= 0 && mask.seqlens_k[b] <= shape.seqlen_k) continue;
    throw Error("[decode_attention] seqlens_k of batch item " + std::to_string(b) + " is " +
                std::to_string(mask.seqlens_k[b]) + "; allowed: 0 to " +
                std::to_string(shape.seqlen_k));
  }
}

/// Queries up to which the decode kernel is the faster one. Time per head of 4096 keys, head_dim
/// 128, against the flash kernel of the same instruction set (Xeon with AMX, one core): with 1, 4,
/// 8 and 16 queries flash takes 4.5, 4.0, 2.5 and 1.5 times as long in float32 (and more with
/// grouped heads, which it does not stack), but 2.7, 1.8, 0.94 and 0.49 times with AMX, whose tiles
/// take 16 queries in the time of one.
std::int64_t max_decode_queries(const AttentionShape& shape) {
  const bool has_tiles =
      shape.dtype == DType::kBFloat16 &&
      &current_kernels(shape.dtype) == &kernel_table(Isa::kAvx512Amx, shape.dtype);
  return has_tiles ? 7 : kMaxDecodeQueries;
}

}  // namespace

KernelPlan plan_decode_attention(const AttentionShape& shape, int max_workers) {
  check_shape(shape);
  if (shape.seqlen_q > max_decode_queries(shape)) return plan_flash_attention(shape, max_workers);
  const KernelTable& kernels = current_kernels(shape.dtype);
  return make_plan(kernels.decode_name, kernels.decode_partition(shape), max_workers);
}

void decode_attention(const AttentionArgs& args, const KernelPlan& plan,
                      std::span<std::byte> workspace, const Parallel& parallel) {
  const AttentionShape& shape = args.shape;
  check_shape(shape);
  check_rules(shape, args.mask, args.score);
  if (shape.seqlen_q > max_decode_queries(shape)) {
    return flash_attention(args, plan, workspace, parallel);
  }
  const KernelTable& kernels = current_kernels(shape.dtype);
  const Partition partition = kernels.decode_partition(shape);
  check_launch("decode_attention", plan, partition, workspace);
  run_region(args, plan, partition, workspace, partition.num_tasks, 0, kernels.decode, parallel);
  run_region(args, plan, partition, workspace, shape.batch * shape.kv_heads, 0,
             kernels.decode_merge, parallel);
}

}  // namespace attnlab::cpu
