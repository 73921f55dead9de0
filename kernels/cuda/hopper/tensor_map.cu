// Tensor maps are encoded by the driver; its function is looked up at run time, so that the library
// needs no libcuda to load.
#include <cuda.h>
#include <cuda_runtime.h>

#include <cstring>
#include <string>

#include "kernels/core/error.h"
#include "kernels/cuda/ptx/tma.h"

namespace attnlab::cuda {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

Encode find_encode() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  constexpr unsigned kSinceVersion = 12000;
  const cudaError_t error = cudaGetDriverEntryPointByVersion(
      "cuTensorMapEncodeTiled", &function, kSinceVersion, cudaEnableDefault, &found);
  if (error != cudaSuccess || found != cudaDriverEntryPointSuccess || function == nullptr) {
    throw DeviceError(std::string("[cuda] the driver has no cuTensorMapEncodeTiled (") +
                      cudaGetErrorString(error) + "); allowed: drivers for CUDA 12 and later.");
  }
  return reinterpret_cast<Encode>(function);
}

CUtensorMapDataType data_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
    case DType::kFloat64: return CU_TENSOR_MAP_DATA_TYPE_FLOAT64;
    case DType::kBFloat16: return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case DType::kFloat16: break;
  }
  return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
}

CUtensorMapSwizzle swizzle_mode(Swizzle swizzle) {
  switch (swizzle) {
    case Swizzle::kNone: return CU_TENSOR_MAP_SWIZZLE_NONE;
    case Swizzle::k32: return CU_TENSOR_MAP_SWIZZLE_32B;
    case Swizzle::k64: return CU_TENSOR_MAP_SWIZZLE_64B;
    case Swizzle::k128: break;
  }
  return CU_TENSOR_MAP_SWIZZLE_128B;
}

template <class Numbers>
std::string list(const Numbers& numbers) {
  std::string text;
  for (const auto number : numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

}  // namespace

TensorMap encode_tensor_map(const void* global, DType dtype,
                            const std::array<std::int64_t, 4>& sizes,
                            const std::array<std::int64_t, 4>& strides_bytes,
                            const std::array<int, 4>& box, Swizzle swizzle) {
  static const Encode encode = find_encode();
  std::array<cuuint64_t, 4> global_sizes;
  std::array<cuuint64_t, 3> global_strides;
  std::array<cuuint32_t, 4> box_sizes;
  for (std::size_t dim = 0; dim < 4; ++dim) {
    global_sizes[dim] = static_cast<cuuint64_t>(sizes[dim]);
    box_sizes[dim] = static_cast<cuuint32_t>(box[dim]);
    if (dim > 0) global_strides[dim - 1] = static_cast<cuuint64_t>(strides_bytes[dim]);
  }
  constexpr std::array<cuuint32_t, 4> kElementStrides = {1, 1, 1, 1};
  CUtensorMap encoded;
  const CUresult result =
      encode(&encoded, data_type(dtype), 4, const_cast<void*>(global), global_sizes.data(),
             global_strides.data(), box_sizes.data(), kElementStrides.data(),
             CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle_mode(swizzle),
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw DeviceError("[cuda] the driver refuses a tensor map (error " + std::to_string(result) +
                      "): sizes " + list(sizes) + "; strides in bytes " + list(strides_bytes) +
                      "; box " + list(box) + ".");
  }
  TensorMap map;
  static_assert(sizeof(map) == sizeof(encoded));
  std::memcpy(map.bytes.data(), &encoded, sizeof(encoded));
  return map;
}

}  // namespace attnlab::cuda
