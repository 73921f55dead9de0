// Whether rows of tensors can be moved 16 bytes at a time. Host side.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "kernels/core/tensor_view.h"

namespace attnlab::cuda {

/// True where every row starts at a multiple of 16 bytes and is a multiple of 16 bytes long.
inline bool rows_are_aligned(const TensorView& tensor) {
  constexpr std::int64_t kBytes = 16;
  const std::int64_t size = element_size(tensor.dtype);
  if (reinterpret_cast<std::uintptr_t>(tensor.data) % kBytes != 0) return false;
  for (std::size_t dim = 0; dim < 3; ++dim) {
    if (tensor.sizes[dim] > 1 && tensor.strides[dim] * size % kBytes != 0) return false;
  }
  return tensor.sizes[3] * size % kBytes == 0;
}

inline bool rows_are_aligned(std::initializer_list<TensorView> tensors) {
  for (const TensorView& tensor : tensors) {
    if (!rows_are_aligned(tensor)) return false;
  }
  return true;
}

}  // namespace attnlab::cuda
