#include <limits>
#include <string>

#include "kernels/core/error.h"
#include "kernels/core/score.h"
#include "kernels/cuda/decode/decode_attention.h"
#include "kernels/cuda/decode/decode_merge.cuh"
#include "kernels/cuda/decode/decode_split.cuh"
#include "kernels/cuda/flash_attention.h"
#include "kernels/cuda/row_alignment.h"

namespace attnlab::cuda {
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
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (shape.seqlen_k > kMost / 2 || shape.batch * shape.heads * shape.seqlen_q > kMost / 512) {
    fail("batch " + std::to_string(shape.batch) + " with " + std::to_string(shape.heads) +
         " heads and a cache of " + std::to_string(shape.seqlen_k) +
         " needs more blocks than a launch has; split the batch");
  }
}

/// Throws where a block of the device has too little shared memory.
void check_device(const DecodePlan& plan, const DeviceModel& device) {
  if (plan.shared_bytes <= device.shared_bytes_per_block) return;
  throw UnsupportedError("[decode_attention] these head dimensions need " +
                         std::to_string(plan.shared_bytes) +
                         " bytes of shared memory per block; this device has " +
                         std::to_string(device.shared_bytes_per_block));
}

void check_rules(const MaskOptions& mask, const ScoreOptions& score) {
  if (!mask.causal || mask.window_left >= 0 || !is_plain(score)) {
    throw UnsupportedError(
        "[decode_attention] only the causal mask without window, soft-cap and ALiBi is supported; "
        "use attention for others");
  }
}

const char* kernel_name(DType dtype) {
  switch (dtype) {
    case DType::kFloat64: return "cuda_decode_f64";
    case DType::kBFloat16: return "cuda_decode_bf16";
    case DType::kFloat16: return "cuda_decode_f16";
    case DType::kFloat32: break;
  }
  return "cuda_decode_f32";
}

std::int64_t workspace_bytes(const AttentionShape& shape, const DecodePlan& plan) {
  return shape.batch * shape.kv_heads * plan.num_splits *
         DecodePartial<float>::elements(plan.rows, shape.head_dim_v) *
         accumulator_size(shape.dtype);
}

template <class T>
void run(const AttentionArgs& args, const DecodePlan& plan, std::byte* workspace, Stream stream) {
  using Acc = Accumulator<T>;
  const AttentionShape& shape = args.shape;
  Acc* const partials = reinterpret_cast<Acc*>(workspace);
  const bool aligned = rows_are_aligned({args.k, args.v});
  const int heads = static_cast<int>(shape.batch * shape.kv_heads);
  const LaunchConfig config{
      {plan.row_groups * plan.num_splits * heads}, 32 * plan.warps, plan.shared_bytes, stream};
  if (plan.rows_per_block == 1) {
    launch(config, decode_split<T, 1>, args, plan, partials, aligned);
  } else if (plan.rows_per_block == 4) {
    launch(config, decode_split<T, 4>, args, plan, partials, aligned);
  } else if constexpr (!std::is_same_v<T, double>) {
    launch(config, decode_split<T, 8>, args, plan, partials, aligned);
  }
  const int factor_bytes = plan.num_splits * static_cast<int>(sizeof(Acc));
  launch({{plan.rows * heads}, kMergeThreads, factor_bytes, stream}, decode_merge<T>, args, plan,
         partials);
}

}  // namespace

KernelPlan plan_decode_attention(const AttentionShape& shape, const DeviceModel& device) {
  check_shape(shape);
  const DecodePlan plan = make_decode_plan(shape);
  check_device(plan, device);
  return {kernel_name(shape.dtype), 1, workspace_bytes(shape, plan)};
}

void decode_attention(const AttentionArgs& args, const KernelPlan&, std::span<std::byte> workspace,
                      const DeviceModel& device, Stream stream) {
  const AttentionShape& shape = args.shape;
  check_shape(shape);
  check_rules(args.mask, args.score);
  const DecodePlan plan = make_decode_plan(shape);
  check_device(plan, device);
  const std::int64_t needed = workspace_bytes(shape, plan);
  if (static_cast<std::int64_t>(workspace.size()) < needed) {
    throw Error("[decode_attention] the workspace has " + std::to_string(workspace.size()) +
                " bytes; needed are " + std::to_string(needed) +
                "; make the plan from the same shape");
  }
  if (shape.batch == 0 || shape.heads == 0) return;
  dispatch_dtype(shape.dtype, [&](auto type) {
    run<typename decltype(type)::type>(args, plan, workspace.data(), stream);
  });
}

}  // namespace attnlab::cuda
