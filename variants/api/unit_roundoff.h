// The unit roundoff of a dtype: half the distance from 1 to the next number, the largest relative
// error of one rounding. Error rules are stated in multiples of it.
#pragma once

#include <ATen/core/Tensor.h>

namespace attnlab {

inline double unit_roundoff(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble: return 0x1p-53;
    case at::kHalf: return 0x1p-11;
    case at::kBFloat16: return 0x1p-8;
    default: return 0x1p-24;  // float32
  }
}

}  // namespace attnlab
