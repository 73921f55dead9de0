// From the shape of a call to the types that its kernels are made for, and checks that the kernels
// of this folder share. Host side.
#pragma once

#include <limits>
#include <string>
#include <type_traits>

#include "kernels/core/dispatch.h"
#include "kernels/core/error.h"
#include "kernels/cuda/device_model.h"
#include "kernels/cuda/flash_attention.h"

namespace attnlab::cuda::simt {

/// function(type, head dimension of the tile, score policy), each a tag. float64, which is there
/// for checking, has fewer kernels: two head dimensions, and the general policy takes every score.
template <class F>
void dispatch_kernel(const AttentionShape& shape, const ScoreOptions& score, const F& function) {
  const std::int64_t dim = shape.head_dim > shape.head_dim_v ? shape.head_dim : shape.head_dim_v;
  if (shape.dtype == DType::kFloat64) {
    if (dim <= 64) {
      function(TypeTag<double>(), std::integral_constant<int, 64>(), TypeTag<GeneralScore>());
    } else {
      function(TypeTag<double>(), std::integral_constant<int, 256>(), TypeTag<GeneralScore>());
    }
    return;
  }
  dispatch_score(score, [&](auto policy) {
    if (dim <= 64) {
      function(TypeTag<float>(), std::integral_constant<int, 64>(), policy);
    } else if (dim <= 128) {
      function(TypeTag<float>(), std::integral_constant<int, 128>(), policy);
    } else {
      function(TypeTag<float>(), std::integral_constant<int, 256>(), policy);
    }
  });
}

/// The reason why these kernels, which need so much shared memory, cannot take the shape on this
/// device, or an empty string.
inline std::string refusal(const AttentionShape& shape, int shared_bytes,
                           const DeviceModel& device) {
  if (shape.dtype != DType::kFloat32 && shape.dtype != DType::kFloat64) {
    return std::string(dtype_name(shape.dtype)) + " is not supported; allowed: float32, float64";
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
  if (shared_bytes > device.shared_bytes_per_block) {
    return "head dimensions " + std::to_string(shape.head_dim) + " and " +
           std::to_string(shape.head_dim_v) + " need " + std::to_string(shared_bytes) +
           " bytes of shared memory per block; this device has " +
           std::to_string(device.shared_bytes_per_block);
  }
  // Positions and blocks are 32-bit numbers on the device; a block has four rows at least.
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const std::int64_t longest = shape.seqlen_q > shape.seqlen_k ? shape.seqlen_q : shape.seqlen_k;
  if (longest > kMost / 2 || (longest / 4 + 1) * shape.heads * shape.batch > kMost) {
    return "batch " + std::to_string(shape.batch) + " with " + std::to_string(shape.heads) +
           " heads of length " + std::to_string(longest) +
           " needs more blocks than a launch has; split the batch";
  }
  return {};
}

}  // namespace attnlab::cuda::simt
