#include <algorithm>
#include <string>

#include "kernels/core/dispatch.h"
#include "kernels/core/error.h"
#include "kernels/cuda/hopper/flash.h"
#include "kernels/cuda/hopper/flash_backward.cuh"
#include "kernels/cuda/hopper/tensor_tiles.h"

namespace attnlab::cuda::hopper {
namespace {

/// As many columns as registers hold beside one or two sums.
template <GradientOf kOf>
constexpr int columns_for(int dim) {
  if (kOf == GradientOf::kQueries) return 128;
  return dim == 64 ? 80 : 64;
}
template <class T, int kDim, GradientOf kOf>
using TileOf = BackwardTile<T, kDim, columns_for<kOf>(kDim)>;

std::string refusal(const AttentionBackwardArgs& args, const DeviceModel& device) {
  const std::string reason = shape_refusal(args.shape, device, kMaxBackwardHeadDim);
  if (!reason.empty()) return reason;
  return call_refusal(
      args.score, {args.q, args.k, args.v, args.grad_out, args.grad_q, args.grad_k, args.grad_v},
      "q, k, v, grad_out or a gradient");
}

std::int64_t num_rows(const AttentionShape& shape) {
  return shape.batch * shape.heads * shape.seqlen_q;
}

template <class Tile, GradientOf kOf>
void start(const AttentionBackwardArgs& args, const RowStatistics& statistics, Stream stream) {
  using T = typename Tile::T;
  static_assert(BackwardShared<Tile, kOf>::kBytes <= kH100.shared_bytes_per_block);
  constexpr bool kQueries = kOf == GradientOf::kQueries;
  const AttentionShape& shape = args.shape;
  const std::int64_t seqlen = kQueries ? shape.seqlen_q : shape.seqlen_k;
  const std::int64_t heads = kQueries ? shape.heads : shape.kv_heads;
  const std::int64_t blocks = (seqlen + Tile::kRows - 1) / Tile::kRows * heads * shape.batch;
  if (blocks == 0) return;
  const TensorView& rows_a = kQueries ? args.q : args.k;
  const TensorView& rows_b = kQueries ? args.grad_out : args.v;
  // A tensor map cannot be empty. Without columns nothing is loaded; rows stand for them.
  const bool has_columns = (kQueries ? shape.seqlen_k : shape.seqlen_q) > 0;
  const TensorView& columns_a = !has_columns ? rows_a : kQueries ? args.k : args.q;
  const TensorView& columns_b = !has_columns ? rows_b : kQueries ? args.v : args.grad_out;
  const TensorView& grad_a = kQueries ? args.grad_q : args.grad_k;
  const TensorView& grad_b = kQueries ? args.grad_q : args.grad_v;
  const BackwardParams<T> params{
      .shape = shape,
      .mask = args.mask,
      .statistics = statistics,
      .columns = {columns_a.as<const T>(), columns_b.as<const T>()},
      .heads_per_kv_head = static_cast<int>(shape.heads / shape.kv_heads),
      .scale = static_cast<float>(args.score.scale)};
  launch({{static_cast<int>(blocks)}, Tile::kThreads, BackwardShared<Tile, kOf>::kBytes, stream},
         flash_backward<Tile, kOf>, tile_map(rows_a, kGroupRows), tile_map(rows_b, kGroupRows),
         tile_map(columns_a, Tile::kColumns), tile_map(columns_b, Tile::kColumns),
         tile_map(grad_a, kGroupRows), tile_map(grad_b, kGroupRows), params);
}

template <class T, int kDim>
void start_both(const AttentionBackwardArgs& args, const RowStatistics& statistics, Stream stream) {
  start<TileOf<T, kDim, GradientOf::kKeysAndValues>, GradientOf::kKeysAndValues>(args, statistics,
                                                                                 stream);
  start<TileOf<T, kDim, GradientOf::kQueries>, GradientOf::kQueries>(args, statistics, stream);
}

template <class T>
void start_all(const AttentionBackwardArgs& args, const RowStatistics& statistics, Stream stream) {
  const std::int64_t rows = num_rows(args.shape);
  if (rows > 0) {
    constexpr int kRowsPerBlock = kStatisticsThreads / 32;
    launch({{static_cast<int>((rows + kRowsPerBlock - 1) / kRowsPerBlock)},
            kStatisticsThreads,
            0,
            stream},
           flash_backward_rows<T>, args, statistics);
  }
  if (std::max(args.shape.head_dim, args.shape.head_dim_v) <= 64) {
    start_both<T, 64>(args, statistics, stream);
  } else {
    start_both<T, 128>(args, statistics, stream);
  }
}

}  // namespace

bool supports_backward(const AttentionBackwardArgs& args, const DeviceModel& device) {
  return refusal(args, device).empty();
}

KernelPlan plan_backward(const AttentionShape& shape, const DeviceModel& device) {
  const std::string reason = shape_refusal(shape, device, kMaxBackwardHeadDim);
  if (!reason.empty()) throw UnsupportedError("[flash_attention_backward] " + reason + ".");
  return {shape.dtype == DType::kBFloat16 ? "cuda_flash_backward_sm90_bf16"
                                          : "cuda_flash_backward_sm90_f16",
          1, 2 * num_rows(shape) * static_cast<std::int64_t>(sizeof(float))};
}

void run_backward(const AttentionBackwardArgs& args, const KernelPlan&,
                  std::span<std::byte> workspace, const DeviceModel& device, Stream stream) {
  const std::string reason = refusal(args, device);
  if (!reason.empty()) throw UnsupportedError("[flash_attention_backward] " + reason + ".");
  const KernelPlan needed = plan_backward(args.shape, device);
  if (static_cast<std::int64_t>(workspace.size()) < needed.workspace_bytes) {
    throw Error("[flash_attention_backward] the workspace has " + std::to_string(workspace.size()) +
                " bytes; needed are " + std::to_string(needed.workspace_bytes) +
                "; make the plan from the same shape");
  }
  float* const reference = reinterpret_cast<float*>(workspace.data());
  const RowStatistics statistics{reference, reference + num_rows(args.shape)};
  if (args.shape.dtype == DType::kBFloat16) {
    start_all<bfloat16>(args, statistics, stream);
  } else {
    start_all<float16>(args, statistics, stream);
  }
}

}  // namespace attnlab::cuda::hopper
