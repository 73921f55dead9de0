#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/core/dispatch.h"
#include "kernels/core/error.h"
#include "kernels/cuda/flash_attention.h"
#include "kernels/cuda/hopper/flash.h"
#include "kernels/cuda/hopper/flash_forward.cuh"
#include "kernels/cuda/row_alignment.h"

namespace attnlab::cuda::hopper {
namespace {

/// Tile sizes of FlashAttention-3 (its 16-bit causal ones), with 64 keys at head_dim 256.
template <class T, int kDim>
using TileOf = ForwardTile<T, kDim, kDim == 64 ? 3 : 2, kDim == 256 ? 64 : 128>;

/// Positions and tiles are 32-bit numbers on the device, with room for one tile more.
constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max() / 2;
constexpr int kSmallestTileQ = 128;
constexpr std::int64_t kMaxStrideBytes = std::int64_t{1} << 40;

/// The reason why these kernels cannot take a shape, or an empty string.
std::string shape_refusal(const AttentionShape& shape, const DeviceModel& device) {
  if (device.compute_capability != 90) {
    return "compute capability " + std::to_string(device.compute_capability) +
           " is not supported; allowed: 90";
  }
  if (shape.dtype != DType::kBFloat16 && shape.dtype != DType::kFloat16) {
    return std::string(dtype_name(shape.dtype)) + " is not supported; allowed: bfloat16, float16";
  }
  for (const std::int64_t dim : {shape.head_dim, shape.head_dim_v}) {
    if (dim < 1 || dim > kMaxHeadDim) {
      return "head dimension " + std::to_string(dim) + " is not supported; allowed: 1 to " +
             std::to_string(kMaxHeadDim);
    }
  }
  if (shape.kv_heads < 1 || shape.heads % shape.kv_heads != 0) {
    return std::to_string(shape.heads) + " heads with " + std::to_string(shape.kv_heads) +
           " kv_heads; heads must be a multiple of kv_heads";
  }
  const std::int64_t q_tiles = shape.seqlen_q / kSmallestTileQ + 1;
  if (shape.seqlen_q > kMost || shape.seqlen_k > kMost ||
      q_tiles * shape.heads * shape.batch > kMost) {
    return "batch " + std::to_string(shape.batch) + " with " + std::to_string(shape.heads) +
           " heads of lengths " + std::to_string(shape.seqlen_q) + " and " +
           std::to_string(shape.seqlen_k) + " is too large; split the batch";
  }
  return {};
}

bool strides_fit(const TensorView& tensor) {
  for (std::size_t dim = 0; dim < 3; ++dim) {
    if (tensor.sizes[dim] <= 1) continue;
    const std::int64_t stride = tensor.strides[dim] * element_size(tensor.dtype);
    if (stride <= 0 || stride >= kMaxStrideBytes) return false;
  }
  return true;
}

std::string refusal(const AttentionArgs& args, const DeviceModel& device) {
  std::string reason = shape_refusal(args.shape, device);
  if (!reason.empty()) return reason;
  if (!is_plain(args.score)) return "soft-cap and ALiBi are not supported";
  if (!(args.score.scale > 0.0) || !std::isfinite(args.score.scale)) {
    return "scale " + std::to_string(args.score.scale) +
           " is not supported; allowed: finite and above 0";
  }
  if (!rows_are_aligned({args.q, args.k, args.v, args.out})) {
    return "rows of q, k, v or out are not aligned; allowed: multiples of 16 bytes";
  }
  for (const TensorView& tensor : {args.q, args.k, args.v, args.out}) {
    if (!strides_fit(tensor)) return "a stride of q, k, v or out is 0, negative or too large";
  }
  return {};
}

/// Tiles of `rows` rows and one panel of columns. A dimension of size 1 has no stride of its own.
TensorMap tile_map(const TensorView& tensor, int rows) {
  const std::int64_t size = element_size(tensor.dtype);
  const auto stride = [&](std::size_t dim) {
    return tensor.sizes[dim] > 1 ? tensor.strides[dim] * size : std::int64_t{16};
  };
  return encode_tensor_map(tensor.data, tensor.dtype,
                           {tensor.sizes[3], tensor.sizes[2], tensor.sizes[1], tensor.sizes[0]},
                           {0, stride(2), stride(1), stride(0)}, {kPanel, rows, 1, 1},
                           Swizzle::k128);
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
  const std::string reason = shape_refusal(shape, device);
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
