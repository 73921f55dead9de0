// A view of tensor memory that kernels read and write: pointer, sizes, strides, dtype. Never owns.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/core/dtype.h"
#include "kernels/core/host_device.h"

namespace attnlab {

/// `[batch, heads, seqlen, head_dim]` with any strides (in elements) and head_dim contiguous.
template <class T>
struct TypedView {
  T* data = nullptr;
  std::array<std::int64_t, 4> sizes{};
  std::array<std::int64_t, 4> strides{};

  /// First element of row `s` of head `h` of batch item `b`.
  ATTNLAB_HOST_DEVICE T* row(std::int64_t b, std::int64_t h, std::int64_t s) const {
    return data + b * strides[0] + h * strides[1] + s * strides[2];
  }
};

/// The same without a static type: what crosses the border between operators and kernels.
/// `data == nullptr` stands for "not asked for" where a kernel says that a tensor is optional.
struct TensorView {
  void* data = nullptr;
  std::array<std::int64_t, 4> sizes{};
  std::array<std::int64_t, 4> strides{};
  DType dtype = DType::kFloat32;

  template <class T>
  ATTNLAB_HOST_DEVICE TypedView<T> as() const {
    return {static_cast<T*>(data), sizes, strides};
  }
};

}  // namespace attnlab
