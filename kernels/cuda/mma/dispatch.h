// From the shape of a call to the types that its kernels are made for, and checks that the kernels
// of this folder share. Host side.
#pragma once

#include <algorithm>
#include <limits>
#include <string>
#include <type_traits>

#include "kernels/core/dispatch.h"
#include "kernels/core/error.h"
#include "kernels/cuda/device_model.h"
#include "kernels/cuda/flash_attention.h"

namespace attnlab::cuda::mma {

/// function(type, head dimension of the tile, score policy), each a tag. A scale that is not above
/// 0 cannot be folded into the maximum of a row: the general policy takes it.
template <class F>
void dispatch_kernel(const AttentionShape& shape, const ScoreOptions& score, const F& function) {
  const std::int64_t dim = std::max(shape.head_dim, shape.head_dim_v);
  const auto with_policy = [&](auto type, auto policy) {
    if (dim <= 64) return function(type, std::integral_constant<int, 64>(), policy);
    if (dim <= 128) return function(type, std::integral_constant<int, 128>(), policy);
    function(type, std::integral_constant<int, 256>(), policy);
  };
  const auto with_type = [&](auto type) {
    if (is_plain(score) && score.scale > 0.0) return with_policy(type, TypeTag<PlainScore>());
    with_policy(type, TypeTag<GeneralScore>());
  };
  if (shape.dtype == DType::kBFloat16) return with_type(TypeTag<bfloat16>());
  with_type(TypeTag<float16>());
}

/// The reason why these kernels, which need so much shared memory, cannot take the shape on this
/// device, or an empty string.
inline std::string refusal(const AttentionShape& shape, int shared_bytes,
                           const DeviceModel& device) {
  if (shape.dtype != DType::kBFloat16 && shape.dtype != DType::kFloat16) {
    return std::string(dtype_name(shape.dtype)) + " is not supported; allowed: bfloat16, float16";
  }
  if (device.compute_capability < 80) {
    return "compute capability " + std::to_string(device.compute_capability) +
           " is not supported; allowed: 80 and above";
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
  const std::int64_t longest = std::max(shape.seqlen_q, shape.seqlen_k);
  if (longest > kMost / 2 || (longest / 4 + 1) * shape.heads * shape.batch > kMost) {
    return "batch " + std::to_string(shape.batch) + " with " + std::to_string(shape.heads) +
           " heads of length " + std::to_string(longest) +
           " needs more blocks than a launch has; split the batch";
  }
  return {};
}

}  // namespace attnlab::cuda::mma
