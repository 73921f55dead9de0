// Softmax over a stream of score tiles (Milakov and Gimelshein 2018, arXiv 1805.02867). Scores are
// in units of log2 (score * log2(e)), because exp2 is what hardware has; lse comes out in natural
// units.
//
// The empty row is defined here: nothing visible, or only scores of -inf, is row_sum == 0; its
// output is 0 and its lse is -inf. A NaN among the scores makes row_sum NaN.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/core/host_device.h"

namespace attnlab {

inline constexpr double kLog2E = 1.4426950408889634;
inline constexpr double kLn2 = 0.6931471805599453;

/// `condition ? a : b`; lane types overload it with a mask.
ATTNLAB_HOST_DEVICE inline float select(bool condition, float a, float b) {
  return condition ? a : b;
}
ATTNLAB_HOST_DEVICE inline double select(bool condition, double a, double b) {
  return condition ? a : b;
}

/// State of one row (V = float, double) or of one row per lane.
template <class V>
struct OnlineSoftmax {
  V row_max = V(-std::numeric_limits<double>::infinity());
  V row_sum = V(0.0);

  /// What to subtract before exp2: row_max, or 0 for a row that has seen only -inf (-inf - -inf
  /// would be NaN).
  ATTNLAB_HOST_DEVICE V reference() const {
    return select(row_max == V(-std::numeric_limits<double>::infinity()), V(0.0), row_max);
  }

  /// Takes in the maximum of a tile. Returns the factor by which row_sum has been, and the output
  /// accumulators must be, multiplied. The tile's exp2(score - reference()) are then added.
  ATTNLAB_HOST_DEVICE V update(V tile_max) {
    using std::exp2;
    const V old_max = row_max;
    row_max = select(tile_max > row_max, tile_max, row_max);
    const V factor = exp2(old_max - reference());
    row_sum = row_sum * factor;
    return factor;
  }

  ATTNLAB_HOST_DEVICE void add(V tile_sum) { row_sum = row_sum + tile_sum; }

  /// Joins the state of other keys of the same row. Returns the factor for this side's accumulators
  /// and writes that of the other side's.
  ATTNLAB_HOST_DEVICE V merge(const OnlineSoftmax& other, V* other_factor) {
    using std::exp2;
    const V factor = update(other.row_max);
    *other_factor = exp2(other.row_max - reference());
    add(other.row_sum * *other_factor);
    return factor;
  }

  /// Factor that normalises the accumulators: 1 / row_sum, 0 for an empty row.
  ATTNLAB_HOST_DEVICE V normalizer() const {
    return select(row_sum == V(0.0), V(0.0), V(1.0) / row_sum);
  }

  /// log(sum(exp(score))) in natural units; scalar V only.
  ATTNLAB_HOST_DEVICE V finish() const {
    using std::log;
    if (row_sum == V(0.0)) return V(-std::numeric_limits<double>::infinity());
    return row_max * V(kLn2) + log(row_sum);
  }
};

}  // namespace attnlab
