// How far a variant's output and gradients are from its own formula in float64, and how far the
// formula is from exact full attention.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "variants/api/variant.h"

namespace attnlab::measure {

struct AccuracyOptions {
  std::int64_t rows = 64;  ///< query rows compared per head (all where there are no more)
  std::uint64_t seed = 0;  ///< of the choice of rows
};

/// Relative L2 errors over all batch items and heads: |result - reference| / |reference|, infinite
/// where a result is not finite. A reference that is zero within rounding (below 1e-6 of the terms
/// it is the sum of, such as dq where a query sees one key only) is replaced by the size of these
/// terms.
///
/// Gradients are those of the sum over the sampled rows of f * out * grad_out, with a factor f <= 1
/// for each row of a head. The size of what a row adds to dq, dk and dv goes with |w|, the root of
/// the sum of its squared weights: 1 for the first row under a causal mask, which sees one key,
/// 1 / sqrt(n) for a row that averages over n. With few rows of a long sequence the first one alone
/// decided the ratio, and by chance, because it is the ratio of one rounding to another: linear
/// attention, 16 rows of 4096, dk 4.4 times the error of the plain formula without any fault. So f
/// = min(1, bound / |w|), with the largest bound that leaves no row of a head more than 1/16 of the
/// sum of (f |w|)^2: at least 16 roundings are compared with 16. Where no row has more than that
/// share, f is 1.
struct AccuracyResult {
  double error_out = 0;            ///< sampled rows of out
  std::optional<double> error_dq;  ///< gradients of the loss above; only where the direction has
  std::optional<double> error_dk;  ///< a backward pass
  std::optional<double> error_dv;
  /// Largest error over that of reference() at the inputs' dtype, which is taken as at least the
  /// unit roundoff. (float64 inputs: over the float32 formula's error times 2^-29, as there is no
  /// better reference.)
  double error_ratio = 0;
  /// Relative L2 of the sampled rows of out against exact softmax attention in float64 under the
  /// problem's causal mask alone.
  double approx_error = 0;
  bool passed = true;  ///< ratio at most 2 for out and 3 for each gradient, and everything finite
  std::string reason;  ///< the worst quantity, its error and what was allowed, where not passed
};

/// The gate is FlashAttention's own test rule: at most 2 (gradients 3) times the error of the plain
/// formula at the same precision.
inline constexpr double kMaxOutRatio = 2.0;
inline constexpr double kMaxGradRatio = 3.0;

/// Sorted int64 rows of [0, seqlen): first, last, and one at a seeded place in each of `count` - 2
/// equal parts between; all where seqlen <= count. `count` is taken as at least 2.
at::Tensor sample_rows(std::int64_t seqlen, std::int64_t count, std::uint64_t seed);

/// `grad_out` is used where the problem's direction has a backward pass. Works through batch items
/// and row blocks one after another, so that references of long sequences fit into memory.
AccuracyResult measure_accuracy(const Variant& variant, const Inputs& inputs,
                                const at::Tensor& grad_out, const Problem& problem,
                                const AccuracyOptions& options = {});

}  // namespace attnlab::measure
