#include "analysis/statistics.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>
#include <vector>

namespace attnlab::analysis {
namespace {

constexpr int kResamples = 2000;

/// Sorts only as far as needed; `values` is reordered.
double quantile_of(std::vector<double>& values, double probability) {
  const double position = probability * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(position);
  const double weight = position - static_cast<double>(below);
  const auto nth = values.begin() + below;
  std::nth_element(values.begin(), nth, values.end());
  if (weight == 0) return *nth;
  const double above = *std::min_element(nth + 1, values.end());
  return *nth + weight * (above - *nth);
}

}  // namespace

double quantile(std::span<const double> samples, double probability) {
  if (samples.empty()) throw std::invalid_argument("[statistics] a quantile of no samples");
  if (!(probability >= 0 && probability <= 1)) {
    throw std::invalid_argument("[statistics] a probability outside [0, 1]");
  }
  std::vector<double> values(samples.begin(), samples.end());
  return quantile_of(values, probability);
}

double median(std::span<const double> samples) { return quantile(samples, 0.5); }

Interval median_interval(std::span<const double> samples, double confidence, std::uint64_t seed) {
  if (samples.size() < 2) {
    throw std::invalid_argument("[statistics] an interval needs at least two samples");
  }
  // std::uniform_int_distribution differs between libraries; multiply and shift does not.
  std::mt19937_64 generator(seed);
  const auto draw = [&] {
    return samples[static_cast<std::size_t>(((generator() >> 32) * samples.size()) >> 32)];
  };
  std::vector<double> medians(kResamples);
  std::vector<double> resample(samples.size());
  for (double& value : medians) {
    std::generate(resample.begin(), resample.end(), draw);
    value = quantile_of(resample, 0.5);
  }
  const double tail = (1 - confidence) / 2;
  return {quantile(medians, tail), quantile(medians, 1 - tail)};
}

double log_log_slope(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) throw std::invalid_argument("[statistics] x and y differ in length");
  const auto count = static_cast<double>(x.size());
  double mean_x = 0;
  double mean_y = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!(x[i] > 0 && y[i] > 0)) throw std::invalid_argument("[statistics] a logarithm needs > 0");
    mean_x += std::log(x[i]) / count;
    mean_y += std::log(y[i]) / count;
  }
  double covariance = 0;
  double variance = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double dx = std::log(x[i]) - mean_x;
    covariance += dx * (std::log(y[i]) - mean_y);
    variance += dx * dx;
  }
  if (x.empty() || !(variance > 1e-12)) {
    throw std::invalid_argument("[statistics] a slope needs two different x");
  }
  return covariance / variance;
}

}  // namespace attnlab::analysis
