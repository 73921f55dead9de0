#include "kernels/cuda/row_alignment.h"
#include "kernels/cuda/simt/dispatch.h"
#include "kernels/cuda/simt/flash.h"
#include "kernels/cuda/simt/flash_backward.cuh"

namespace attnlab::cuda::simt {
namespace {

/// Tiles of both kernels by head dimension: dK and dV of kRows keys fit the registers. At most 138
/// KiB of shared memory (float32, head_dim 256).
template <class T, int kDim>
using BackwardTile =
    std::conditional_t<std::is_same_v<T, double>, Tile<T, kDim, (kDim <= 64 ? 2 : 1), 2>,
                       Tile<T, kDim, (kDim <= 128 ? 4 : 2), 4>>;

std::int64_t num_rows(const AttentionShape& shape) {
  return shape.batch * shape.heads * shape.seqlen_q;
}

template <class Tile>
LaunchConfig tiles_config(std::int64_t seqlen, std::int64_t heads, const AttentionShape& shape,
                          Stream stream) {
  const std::int64_t blocks = (seqlen + Tile::kRows - 1) / Tile::kRows * heads * shape.batch;
  return {{static_cast<int>(blocks)}, kThreads, backward_shared_bytes<Tile>(), stream};
}

int shared_bytes(const AttentionShape& shape) {
  int bytes = 0;
  dispatch_kernel(shape, {}, [&](auto type, auto dim, auto) {
    bytes =
        backward_shared_bytes<BackwardTile<typename decltype(type)::type, decltype(dim)::value>>();
  });
  return bytes;
}

}  // namespace

bool supports_backward(const AttentionShape& shape, const DeviceModel& device) {
  return refusal(shape, shared_bytes(shape), device).empty();
}

KernelPlan plan_backward(const AttentionShape& shape, const DeviceModel& device) {
  const std::string reason = refusal(shape, shared_bytes(shape), device);
  if (!reason.empty()) throw UnsupportedError("[flash_attention_backward] " + reason);
  return {shape.dtype == DType::kFloat64 ? "cuda_flash_backward_simt_f64"
                                         : "cuda_flash_backward_simt_f32",
          1, 2 * num_rows(shape) * accumulator_size(shape.dtype)};
}

void run_backward(const AttentionBackwardArgs& args, const KernelPlan&,
                  std::span<std::byte> workspace, const DeviceModel& device, Stream stream) {
  const AttentionShape& shape = args.shape;
  const KernelPlan needed = plan_backward(shape, device);
  if (static_cast<std::int64_t>(workspace.size()) < needed.workspace_bytes) {
    throw Error("[flash_attention_backward] the workspace has " + std::to_string(workspace.size()) +
                " bytes; needed are " + std::to_string(needed.workspace_bytes) +
                "; make the plan from the same shape");
  }
  const bool aligned = rows_are_aligned(
      {args.q, args.k, args.v, args.grad_out, args.grad_q, args.grad_k, args.grad_v});
  dispatch_kernel(shape, args.score, [&](auto type, auto dim, auto policy) {
    using T = typename decltype(type)::type;
    using Score = typename decltype(policy)::type;
    using Tile = BackwardTile<T, decltype(dim)::value>;
    const std::int64_t rows = num_rows(shape);
    T* const reference = reinterpret_cast<T*>(workspace.data());
    const RowStatistics<T> statistics{reference, reference + rows};
    if (rows > 0) {
      const std::int64_t blocks = (rows + kThreads / 32 - 1) / (kThreads / 32);
      launch({{static_cast<int>(blocks)}, kThreads, 0, stream}, flash_backward_rows<T>, args,
             statistics);
    }
    const LaunchConfig keys = tiles_config<Tile>(shape.seqlen_k, shape.kv_heads, shape, stream);
    if (keys.grid.x > 0) launch(keys, flash_backward_keys<Tile, Score>, args, statistics, aligned);
    const LaunchConfig queries = tiles_config<Tile>(shape.seqlen_q, shape.heads, shape, stream);
    if (queries.grid.x > 0) {
      launch(queries, flash_backward_queries<Tile, Score>, args, statistics, aligned);
    }
  });
}

}  // namespace attnlab::cuda::simt
