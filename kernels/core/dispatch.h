// From run-time values to types: functions that call a generic lambda with a tag of the type.
#pragma once

#include "kernels/core/dtype.h"
#include "kernels/core/score.h"

namespace attnlab {

template <class T>
struct TypeTag {
  using type = T;
};

/// The type in which sums over elements of type T are kept.
template <class T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::type;

/// function(TypeTag<T>{}) with the storage type of `dtype`.
template <class F>
decltype(auto) dispatch_dtype(DType dtype, F&& function) {
  switch (dtype) {
    case DType::kFloat64: return function(TypeTag<double>{});
    case DType::kBFloat16: return function(TypeTag<bfloat16>{});
    case DType::kFloat16: return function(TypeTag<float16>{});
    case DType::kFloat32: break;
  }
  return function(TypeTag<float>{});
}

/// function(TypeTag<PlainScore>{}) where nothing but the scale is asked for, else GeneralScore.
template <class F>
decltype(auto) dispatch_score(const ScoreOptions& options, F&& function) {
  if (is_plain(options)) return function(TypeTag<PlainScore>{});
  return function(TypeTag<GeneralScore>{});
}

/// The policy of one head.
template <class S>
ATTNLAB_HOST_DEVICE S make_score(const ScoreOptions& options, std::int64_t batch_idx,
                                 std::int64_t head) {
  if constexpr (S::kIsIdentity) {
    return {options.scale};
  } else {
    return general_score(options, batch_idx, head);
  }
}

}  // namespace attnlab
