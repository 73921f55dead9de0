// What forward and backward on sm_90a ask of shapes and tensors, and the maps of their tiles. Host
// side.
#pragma once

#include <cmath>
#include <initializer_list>
#include <limits>
#include <string>

#include "kernels/core/attention_args.h"
#include "kernels/core/score.h"
#include "kernels/cuda/device_model.h"
#include "kernels/cuda/hopper/shared_tile.cuh"
#include "kernels/cuda/row_alignment.h"

namespace attnlab::cuda::hopper {

/// The reason why these kernels cannot take a shape, or an empty string.
inline std::string shape_refusal(const AttentionShape& shape, const DeviceModel& device,
                                 std::int64_t max_head_dim) {
  // Positions and tiles are 32-bit numbers on the device, with room for one tile more.
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max() / 2;
  constexpr int kSmallestTile = 128;
  if (device.compute_capability != 90) {
    return "compute capability " + std::to_string(device.compute_capability) +
           " is not supported; allowed: 90";
  }
  if (shape.dtype != DType::kBFloat16 && shape.dtype != DType::kFloat16) {
    return std::string(dtype_name(shape.dtype)) + " is not supported; allowed: bfloat16, float16";
  }
  for (const std::int64_t dim : {shape.head_dim, shape.head_dim_v}) {
    if (dim < 1 || dim > max_head_dim) {
      return "head dimension " + std::to_string(dim) + " is not supported; allowed: 1 to " +
             std::to_string(max_head_dim);
    }
  }
  if (shape.kv_heads < 1 || shape.heads % shape.kv_heads != 0) {
    return std::to_string(shape.heads) + " heads with " + std::to_string(shape.kv_heads) +
           " kv_heads; heads must be a multiple of kv_heads";
  }
  for (const std::int64_t seqlen : {shape.seqlen_q, shape.seqlen_k}) {
    if (seqlen > kMost || (seqlen / kSmallestTile + 1) * shape.heads * shape.batch > kMost) {
      return "batch " + std::to_string(shape.batch) + " with " + std::to_string(shape.heads) +
             " heads of lengths " + std::to_string(shape.seqlen_q) + " and " +
             std::to_string(shape.seqlen_k) + " is too large; split the batch";
    }
  }
  return {};
}

inline bool strides_fit(const TensorView& tensor) {
  constexpr std::int64_t kMaxStrideBytes = std::int64_t{1} << 40;
  for (std::size_t dim = 0; dim < 3; ++dim) {
    if (tensor.sizes[dim] <= 1) continue;
    const std::int64_t stride = tensor.strides[dim] * element_size(tensor.dtype);
    if (stride <= 0 || stride >= kMaxStrideBytes) return false;
  }
  return true;
}

/// The reason why scores or tensors cannot be taken, or an empty string. `names` of `tensors`.
inline std::string call_refusal(const ScoreOptions& score,
                                std::initializer_list<TensorView> tensors, const char* names) {
  if (!is_plain(score)) return "soft-cap and ALiBi are not supported";
  if (!(score.scale > 0.0) || !std::isfinite(score.scale)) {
    return "scale " + std::to_string(score.scale) +
           " is not supported; allowed: finite and above 0";
  }
  if (!rows_are_aligned(tensors)) {
    return std::string("rows of ") + names + " are not aligned; allowed: multiples of 16 bytes";
  }
  for (const TensorView& tensor : tensors) {
    if (!strides_fit(tensor)) {
      return std::string("a stride of ") + names + " is 0, negative or too large";
    }
  }
  return {};
}

/// Tiles of `rows` rows and one panel of columns. A dimension of size 1 has no stride of its own.
/// The tensor is not empty.
inline TensorMap tile_map(const TensorView& tensor, int rows) {
  const std::int64_t size = element_size(tensor.dtype);
  const auto stride = [&](std::size_t dim) {
    return tensor.sizes[dim] > 1 ? tensor.strides[dim] * size : std::int64_t{16};
  };
  return encode_tensor_map(tensor.data, tensor.dtype,
                           {tensor.sizes[3], tensor.sizes[2], tensor.sizes[1], tensor.sizes[0]},
                           {0, stride(2), stride(1), stride(0)}, {kPanel, rows, 1, 1},
                           Swizzle::k128);
}

}  // namespace attnlab::cuda::hopper
