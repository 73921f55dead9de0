// Score policies: what happens to a scaled dot product before the softmax. Written once, generic in
// the lane type V: a scalar (tests, CUDA) or a vector of lanes (CPU kernels). V needs arithmetic,
// `V(double)` and, for the general policy, `tanh` and `abs` found by argument-dependent lookup.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "kernels/core/attention_args.h"
#include "kernels/core/host_device.h"

namespace attnlab {

/// `score(x, distance)` of a scaled dot product x and |diagonal(q) - k|, and its derivative by x.
/// A policy with `kIsIdentity` promises score == x, so that kernels may fold the scale elsewhere.
template <class S, class V>
concept ScorePolicy = std::is_trivially_copyable_v<S> && requires(const S s, V x, V distance) {
  { S::kIsIdentity } -> std::convertible_to<bool>;
  { s.scale } -> std::convertible_to<double>;
  { s.score(x, distance) } -> std::same_as<V>;
  { s.derivative(x) } -> std::same_as<V>;
};

/// The scale alone.
struct PlainScore {
  static constexpr bool kIsIdentity = true;
  double scale = 1.0;

  template <class V>
  ATTNLAB_HOST_DEVICE V score(V x, V /*distance*/) const {
    return x;
  }
  template <class V>
  ATTNLAB_HOST_DEVICE V derivative(V /*x*/) const {
    return V(1.0);
  }
};

/// Soft-cap (c * tanh(x / c), Gemma 2, arXiv 2408.00118) and ALiBi (minus slope * distance, Press
/// et al. 2022, arXiv 2108.12409), each left out at run time where it is 0.
struct GeneralScore {
  static constexpr bool kIsIdentity = false;
  double scale = 1.0;
  double softcap = 0.0;
  double slope = 0.0;

  template <class V>
  ATTNLAB_HOST_DEVICE V score(V x, V distance) const {
    using std::tanh;
    V result = x;
    if (softcap != 0.0) result = V(softcap) * tanh(x * V(1.0 / softcap));
    if (slope != 0.0) result = result - V(slope) * distance;
    return result;
  }
  template <class V>
  ATTNLAB_HOST_DEVICE V derivative(V x) const {
    using std::tanh;
    if (softcap == 0.0) return V(1.0);
    const V t = tanh(x * V(1.0 / softcap));
    return V(1.0) - t * t;
  }
};

inline bool is_plain(const ScoreOptions& options) {
  return options.softcap == 0.0 && options.alibi_slopes == nullptr;
}

/// The general policy of one head.
ATTNLAB_HOST_DEVICE inline GeneralScore general_score(const ScoreOptions& options,
                                                      std::int64_t batch_idx, std::int64_t head) {
  const float slope = options.alibi_slopes == nullptr
                          ? 0.0f
                          : options.alibi_slopes[batch_idx * options.alibi_batch_stride +
                                                 head * options.alibi_head_stride];
  return {options.scale, options.softcap, slope};
}

static_assert(ScorePolicy<PlainScore, float> && ScorePolicy<GeneralScore, float>);

}  // namespace attnlab
