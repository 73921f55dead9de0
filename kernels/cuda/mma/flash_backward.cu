#include "kernels/cuda/mma/dispatch.h"
#include "kernels/cuda/mma/flash.h"
#include "kernels/cuda/mma/flash_backward.cuh"
#include "kernels/cuda/row_alignment.h"

namespace attnlab::cuda::mma {
namespace {

/// Tiles of all kernels by head dimension: 64 rows, and as many columns as registers hold.
template <class T, int kDim>
using TileOf = BackwardTile<T, kDim, 4, 32>;

std::int64_t num_rows(const AttentionShape& shape) {
  return shape.batch * shape.heads * shape.seqlen_q;
}

int shared_bytes(const AttentionShape& shape) {
  int bytes = 0;
  dispatch_kernel(shape, {}, [&](auto type, auto dim, auto) {
    bytes = TileOf<typename decltype(type)::type, decltype(dim)::value>::kSharedBytes;
  });
  return bytes;
}

template <class Tile, class Score, GradientOf kOf>
void start(const AttentionBackwardArgs& args, const RowStatistics& statistics, bool aligned,
           Stream stream) {
  const AttentionShape& shape = args.shape;
  const bool queries = kOf == GradientOf::kQueries;
  const std::int64_t seqlen = queries ? shape.seqlen_q : shape.seqlen_k;
  const std::int64_t heads = queries ? shape.heads : shape.kv_heads;
  const std::int64_t blocks = (seqlen + Tile::kRows - 1) / Tile::kRows * heads * shape.batch;
  if (blocks == 0) return;
  launch({{static_cast<int>(blocks)}, Tile::kThreads, Tile::kSharedBytes, stream},
         flash_backward<Tile, Score, kOf>, args, statistics, aligned);
}

}  // namespace

bool supports_backward(const AttentionShape& shape, const DeviceModel& device) {
  return refusal(shape, shared_bytes(shape), device).empty();
}

KernelPlan plan_backward(const AttentionShape& shape, const DeviceModel& device) {
  const std::string reason = refusal(shape, shared_bytes(shape), device);
  if (!reason.empty()) throw UnsupportedError("[flash_attention_backward] " + reason);
  return {shape.dtype == DType::kBFloat16 ? "cuda_flash_backward_mma_bf16"
                                          : "cuda_flash_backward_mma_f16",
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
  const std::int64_t rows = num_rows(shape);
  float* const reference = reinterpret_cast<float*>(workspace.data());
  const RowStatistics statistics{reference, reference + rows};
  dispatch_kernel(shape, args.score, [&](auto type, auto dim, auto policy) {
    using T = typename decltype(type)::type;
    using Score = typename decltype(policy)::type;
    constexpr int kDim = decltype(dim)::value;
    using Tile = TileOf<T, kDim>;
    if (rows > 0) {
      constexpr int kRowsPerBlock = kStatisticsThreads / 32;
      const std::int64_t blocks = (rows + kRowsPerBlock - 1) / kRowsPerBlock;
      launch({{static_cast<int>(blocks)}, kStatisticsThreads, 0, stream}, flash_backward_rows<T>,
             args, statistics);
    }
    if constexpr (kDim <= 128) {
      start<Tile, Score, GradientOf::kKeysAndValues>(args, statistics, aligned, stream);
    } else {
      start<Tile, Score, GradientOf::kKeys>(args, statistics, aligned, stream);
      start<Tile, Score, GradientOf::kValues>(args, statistics, aligned, stream);
    }
    start<Tile, Score, GradientOf::kQueries>(args, statistics, aligned, stream);
  });
}

}  // namespace attnlab::cuda::mma
