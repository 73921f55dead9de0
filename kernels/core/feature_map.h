// Feature maps of linear attention, generic in the lane type V like the score policies. V needs
// arithmetic, comparisons, `V(double)` and `exp2` and `select` by argument-dependent lookup.
#pragma once

#include <cmath>

#include "kernels/core/host_device.h"
#include "kernels/core/linear_args.h"
#include "kernels/core/online_softmax.h"

namespace attnlab {

/// elu(x) + 1 (Katharopoulos et al. 2020, arXiv 2006.16236): x + 1 above 0, exp(x) below.
struct EluFeature {
  template <class V>
  ATTNLAB_HOST_DEVICE static V map(V x) {
    using std::exp2;
    // The exponential never sees a positive x, which could overflow; a NaN passes.
    const V negative = select(x > V(0.0), V(0.0), x);
    return select(x > V(0.0), x + V(1.0), exp2(negative * V(kLog2E)));
  }
  /// Derivative from the value of the map; no second exponential.
  template <class V>
  ATTNLAB_HOST_DEVICE static V derivative_from_value(V value) {
    return select(value > V(1.0), V(1.0), value);
  }
};

struct ReluFeature {
  template <class V>
  ATTNLAB_HOST_DEVICE static V map(V x) {
    return select(x < V(0.0), V(0.0), x);
  }
  template <class V>
  ATTNLAB_HOST_DEVICE static V derivative_from_value(V value) {
    return select(value > V(0.0), V(1.0), V(0.0));
  }
};

struct IdentityFeature {
  template <class V>
  ATTNLAB_HOST_DEVICE static V map(V x) {
    return x;
  }
  template <class V>
  ATTNLAB_HOST_DEVICE static V derivative_from_value(V /*value*/) {
    return V(1.0);
  }
};

/// Calls function(map) with the map of this kind.
template <class F>
decltype(auto) dispatch_feature_map(FeatureMapKind kind, F&& function) {
  switch (kind) {
    case FeatureMapKind::kElu: return function(EluFeature{});
    case FeatureMapKind::kRelu: return function(ReluFeature{});
    case FeatureMapKind::kIdentity: break;
  }
  return function(IdentityFeature{});
}

}  // namespace attnlab
