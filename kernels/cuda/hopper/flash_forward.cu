#include <algorithm>
#include <string>

#include "kernels/core/dispatch.h"
#include "kernels/core/error.h"
#include "kernels/cuda/flash_attention.h"
#include "kernels/cuda/hopper/flash.h"
#include "kernels/cuda/hopper/flash_forward.cuh"
#include "kernels/cuda/hopper/tensor_tiles.h"

namespace attnlab::cuda::hopper {
namespace {

/// Tile sizes of FlashAttention-3 (its 16-bit causal ones), with 64 keys at head_dim 256.
template <class T, int kDim>
using TileOf = ForwardTile<T, kDim, kDim == 64 ? 3 : 2, kDim == 256 ? 64 : 128>;

std::string refusal(const AttentionArgs& args, const DeviceModel& device) {
  const std::string reason = shape_refusal(args.shape, device, kMaxHeadDim);
  if (!reason.empty()) return reason;
  return call_refusal(args.score, {args.q, args.k, args.v, args.out}, "q, k, v or out");
}

template <class Tile>
void start(const AttentionArgs& args, const DeviceModel& device, Stream stream) {
  using T = typename Tile::T;
  static_assert(SharedLayout<Tile>::kBytes <= kH100.shared_bytes_per_block);
  const TileSchedule schedule = make_tile_schedule(args.shape, Tile::kTileQ, device);
  const ForwardParams<T> params{
      .shape = args.shape,
      .mask = args.mask,
      .schedule = schedule,
      .v = args.v.as<const T>(),
      .lse = args.lse.as<float>(),
      .heads_per_kv_head = static_cast<int>(args.shape.heads / args.shape.kv_heads),
      .scale = static_cast<float>(args.score.scale)};
  // A tensor map cannot be empty. Without keys nothing is loaded; queries stand for them.
  const bool has_keys = args.shape.seqlen_k > 0;
  const TensorView& k = has_keys ? args.k : args.q;
  const TensorView& v = has_keys ? args.v : args.q;
  const int blocks =
      schedule.num_tiles() < device.multiprocessors ? schedule.num_tiles() : device.multiprocessors;
  launch({{blocks}, Tile::kThreads, SharedLayout<Tile>::kBytes, stream}, flash_forward<Tile>,
         tile_map(args.q, kGroupRows), tile_map(k, Tile::kTileK), tile_map(v, Tile::kTileK),
         tile_map(args.out, kGroupRows), params);
}

template <class T>
void start_for_dimension(const AttentionArgs& args, const DeviceModel& device, Stream stream) {
  const std::int64_t dim = std::max(args.shape.head_dim, args.shape.head_dim_v);
  if (dim <= 64) return start<TileOf<T, 64>>(args, device, stream);
  if (dim <= 128) return start<TileOf<T, 128>>(args, device, stream);
  start<TileOf<T, 256>>(args, device, stream);
}

}  // namespace

bool supports_forward(const AttentionArgs& args, const DeviceModel& device) {
  return refusal(args, device).empty();
}

KernelPlan plan_forward(const AttentionShape& shape, const DeviceModel& device) {
  const std::string reason = shape_refusal(shape, device, kMaxHeadDim);
  if (!reason.empty()) throw UnsupportedError("[flash_attention] " + reason + ".");
  return {shape.dtype == DType::kBFloat16 ? "cuda_flash_sm90_bf16" : "cuda_flash_sm90_f16", 1, 0};
}

void run_forward(const AttentionArgs& args, const KernelPlan&, std::span<std::byte>,
                 const DeviceModel& device, Stream stream) {
  const std::string reason = refusal(args, device);
  if (!reason.empty()) throw UnsupportedError("[flash_attention] " + reason + ".");
  if (args.shape.batch == 0 || args.shape.heads == 0 || args.shape.seqlen_q == 0) return;
  if (args.shape.dtype == DType::kBFloat16) {
    start_for_dimension<bfloat16>(args, device, stream);
  } else {
    start_for_dimension<float16>(args, device, stream);
  }
}

}  // namespace attnlab::cuda::hopper
