// Statistics of timing samples and of growth. Plain functions on plain numbers.
#pragma once

#include <cstdint>
#include <span>

namespace attnlab::analysis {

struct Interval {
  double low = 0;
  double high = 0;
};

/// Quantile with linear interpolation between order statistics (type 7 of Hyndman and Fan 1996, the
/// default of numpy and R). `probability` in [0, 1]; throws std::invalid_argument for anything else
/// and for no samples.
double quantile(std::span<const double> samples, double probability);

/// quantile(samples, 0.5).
double median(std::span<const double> samples);

/// Percentile bootstrap confidence interval of the median (Efron 1979): 2000 resamples with a
/// generator of fixed `seed`, so that the same samples always give the same interval. Throws
/// std::invalid_argument for fewer than two samples: one sample says nothing about its spread.
Interval median_interval(std::span<const double> samples, double confidence = 0.95,
                         std::uint64_t seed = 0);

/// Slope of the least-squares line through (log x, log y): 2 where y grows as x^2. Throws
/// std::invalid_argument for unequal sizes, fewer than two different x, or values not above 0.
double log_log_slope(std::span<const double> x, std::span<const double> y);

}  // namespace attnlab::analysis
