// Tolerances that follow from number formats and lengths, and comparisons that name the first wrong
// element.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/core/dtype.h"

namespace attnlab::testing {

/// Largest relative error of rounding to the nearest number of this type.
inline double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return 0x1p-24;
    case DType::kFloat64: return 0x1p-53;
    case DType::kBFloat16: return 0x1p-8;
    case DType::kFloat16: return 0x1p-11;
  }
  return 0.0;
}

inline double accumulator_roundoff(DType dtype) {
  return dtype == DType::kFloat64 ? 0x1p-53 : 0x1p-24;
}

/// Absolute tolerance of a result of size up to `magnitude` that is a weighted sum of `terms`
/// terms: one rounding to the result's type, and for sums and exponentials in the accumulator type
/// an error that grows with the root of their number. 16 covers exp2 (4 units) and the condition of
/// the score.
inline double tolerance(DType dtype, double magnitude, std::int64_t terms) {
  return magnitude *
         (1.5 * unit_roundoff(dtype) +
          16.0 * accumulator_roundoff(dtype) * std::sqrt(64.0 + static_cast<double>(terms)));
}

/// The same for gradients, which read the rounded output: sum(dO * O) carries a rounding of each of
/// its `head_dim_v` terms.
inline double gradient_tolerance(DType dtype, double magnitude, std::int64_t terms,
                                 std::int64_t head_dim_v) {
  return tolerance(dtype, 4.0 * magnitude, terms) +
         magnitude * unit_roundoff(dtype) * std::sqrt(static_cast<double>(head_dim_v));
}

/// Largest finite absolute value, at least `floor`.
inline double magnitude_of(const std::vector<double>& values, double floor = 1.0) {
  double largest = floor;
  for (const double x : values) {
    if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
  }
  return largest;
}

/// Passes where every element is within `allowed`, or both are NaN, or the same infinity.
inline ::testing::AssertionResult all_close(const std::vector<double>& actual,
                                            const std::vector<double>& expected, double allowed) {
  if (actual.size() != expected.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double a = actual[i];
    const double e = expected[i];
    const bool same = a == e || (std::isnan(a) && std::isnan(e)) || std::abs(a - e) <= allowed;
    if (!same) {
      return ::testing::AssertionFailure() << "element " << i << " of " << actual.size() << " is "
                                           << a << ", expected " << e << " within " << allowed;
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace attnlab::testing
