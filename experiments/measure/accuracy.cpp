#include "experiments/measure/accuracy.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "experiments/measure/gradients.h"
#include "experiments/measure/random.h"
#include "experiments/measure/sampled_formula.h"
#include "variants/api/softmax_reference.h"
#include "variants/api/unit_roundoff.h"

namespace attnlab::measure {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kZeroWithinRounding = 1e-6;
/// Of one row of a head in what is compared of gradients.
constexpr double kLargestShare = 1.0 / 16;
constexpr std::array kNames = {"out", "dq", "dk", "dv"};

double l2_norm(const at::Tensor& tensor) {
  return at::linalg_vector_norm(tensor.to(at::kDouble)).item<double>();
}

/// Root mean square of the rows' norms.
double row_norm(const at::Tensor& tensor) {
  return l2_norm(tensor) / std::sqrt(static_cast<double>(tensor.numel() / tensor.size(-1)));
}

bool is_finite(const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); }

/// What the variant itself gives.
struct VariantResult {
  at::Tensor out;       ///< sampled rows
  Gradients gradients;  ///< whole
  bool finite = true;   ///< the whole of out
};

/// `grad_rows` [batch, heads, rows, head_dim_v], undefined without a backward pass.
VariantResult run_variant(const Variant& variant, const Inputs& inputs, const at::Tensor& rows,
                          const at::Tensor& grad_rows) {
  VariantResult result;
  const bool with_backward = grad_rows.defined();
  const at::AutoGradMode grad_mode(with_backward);
  const Inputs leaves = with_backward ? with_gradients(inputs) : inputs;
  const at::Tensor out = variant.forward(leaves).out;
  result.finite = is_finite(out.detach());
  result.out = out.detach().index_select(2, rows);
  if (with_backward) {
    const at::Tensor grad_out =
        at::zeros_like(out.detach()).index_copy_(2, rows, grad_rows.to(out.scalar_type()));
    result.gradients = backward(out, leaves, grad_out);
  }
  return result;
}

/// Sizes of the sums of absolute terms that make each quantity: what rounding errors scale with
/// where the terms cancel. dS = P (dP - D) and dP = g v, so dq and dk hold scale |g| |v| |k| or
/// |q|.
std::array<double, kQuantities> term_norms(const Inputs& inputs, const at::Tensor& grad_rows,
                                           double scale, std::int64_t out_rows) {
  std::array<double, kQuantities> terms = {};
  terms[0] = row_norm(inputs.v) * std::sqrt(static_cast<double>(out_rows));
  if (!grad_rows.defined()) return terms;
  const double score = scale * l2_norm(grad_rows) * row_norm(inputs.v);
  terms[1] = score * row_norm(inputs.k);
  terms[2] = score * row_norm(inputs.q);
  terms[3] = l2_norm(grad_rows);
  return terms;
}

double relative_error(const at::Tensor& result, const at::Tensor& reference, double terms) {
  if (!is_finite(result)) return kInfinity;
  const double difference = l2_norm(result.to(at::kDouble).sub(reference));
  if (difference == 0) return 0;
  const double size = l2_norm(reference);
  return difference / (size > kZeroWithinRounding * terms ? size : terms);
}

/// The largest bound with which no square of min(value, bound) is more than `share` of the sum of
/// all. Where that cannot be (fewer than 1 / share values), the smallest value.
double largest_bound(std::vector<double> squares, double share) {
  std::sort(squares.begin(), squares.end(), std::greater<>());
  double rest = std::accumulate(squares.begin(), squares.end(), 0.0);
  double free_share = 1;
  for (const double square : squares) {
    const double bound = rest * share / free_share;
    if (square <= bound) return std::sqrt(bound);
    rest -= square;
    free_share -= share;
    if (free_share < share / 2) break;
  }
  return std::sqrt(squares.back());
}

/// Factors `[batch, heads, rows, 1]` of the rows in the loss whose gradients are compared, see
/// accuracy.h. For values that are white noise, the mean square of a row of out is the sum of its
/// squared weights.
at::Tensor row_factors(const Formula& formula, const Inputs& inputs, const at::Tensor& rows,
                       std::uint64_t seed) {
  constexpr std::uint64_t kStream = 65;
  constexpr std::int64_t kNumbers = 32;  // per row: its sum within a quarter or so
  const std::int64_t draws = (kNumbers + inputs.v.size(3) - 1) / inputs.v.size(3);
  at::Tensor squares;
  for (std::int64_t i = 0; i < draws; ++i) {
    const at::Tensor noise = at::empty(inputs.v.sizes(), at::kFloat);
    fill_normal({noise.mutable_data_ptr<float>(), static_cast<std::size_t>(noise.numel())},
                seed + static_cast<std::uint64_t>(i), kStream);
    Inputs noisy = inputs;
    noisy.v = noise.to(inputs.v.device());
    const at::Tensor out = evaluate(formula, noisy, rows, {}, at::kDouble)[0];
    const at::Tensor sum = out.square().sum(-1, true);
    squares = squares.defined() ? squares + sum : sum;
  }
  // A formula that overflows has no such factors.
  if (!is_finite(squares)) return at::ones_like(squares);
  const at::Tensor listed = squares.cpu().flatten();
  std::vector<double> positive(listed.const_data_ptr<double>(),
                               listed.const_data_ptr<double>() + listed.numel());
  std::erase(positive, 0.0);  // rows that see no key
  if (positive.empty()) return at::ones_like(squares);
  const double bound = largest_bound(std::move(positive), kLargestShare);
  return (bound / squares.sqrt()).clamp_max(1.0);
}

}  // namespace

at::Tensor sample_rows(std::int64_t seqlen, std::int64_t count, std::uint64_t seed) {
  count = std::min(std::max<std::int64_t>(count, 2), seqlen);
  at::Tensor rows = at::empty({count}, at::kLong);
  auto* row = rows.mutable_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) row[i] = i;
  if (count == seqlen) return rows;
  row[count - 1] = seqlen - 1;
  const std::int64_t inner = seqlen - 2;
  for (std::int64_t i = 1; i + 1 < count; ++i) {
    const std::int64_t begin = 1 + (i - 1) * inner / (count - 2);
    const std::int64_t size = 1 + i * inner / (count - 2) - begin;
    constexpr std::uint64_t kStream = 64;
    row[i] = begin +
             static_cast<std::int64_t>(random_bits(seed, kStream, static_cast<std::uint64_t>(i)) %
                                       static_cast<std::uint64_t>(size));
  }
  return rows;
}

AccuracyResult measure_accuracy(const Variant& variant, const Inputs& inputs,
                                const at::Tensor& grad_out, const Problem& problem,
                                const AccuracyOptions& options) {
  const at::Tensor rows =
      sample_rows(problem.seqlen_q, options.rows, options.seed).to(inputs.q.device());
  const bool with_backward = problem.with_backward();
  const Formula formula = [&](const Inputs& part, const at::Tensor& part_rows) {
    return variant.reference(part, part_rows);
  };
  at::Tensor grad_rows;
  if (with_backward) {
    // Rounded as the variant gets it.
    grad_rows = (grad_out.index_select(2, rows) * row_factors(formula, inputs, rows, options.seed))
                    .to(problem.dtype)
                    .to(at::kDouble);
  }
  const VariantResult result = run_variant(variant, inputs, rows, grad_rows);
  const Quantities exact = evaluate(formula, inputs, rows, grad_rows, at::kDouble);
  const bool is_double = problem.dtype == at::kDouble;
  const Quantities plain =
      evaluate(formula, inputs, rows, grad_rows, is_double ? at::kFloat : problem.dtype);
  const auto terms = term_norms(inputs, grad_rows, problem.scale_or_default(),
                                problem.batch * problem.heads * rows.size(0));

  AccuracyResult accuracy;
  const double floor = unit_roundoff(problem.dtype);
  double worst = -1;
  for (std::size_t i = 0; i < (with_backward ? kQuantities : 1); ++i) {
    const at::Tensor& own = i == 0 ? result.out : result.gradients[i - 1];
    const double error =
        i == 0 && !result.finite ? kInfinity : relative_error(own, exact[i], terms[i]);
    double plain_error = relative_error(plain[i], exact[i], terms[i]) * (is_double ? 0x1p-29 : 1.0);
    // A plain formula that overflows is no yardstick.
    plain_error = std::isfinite(plain_error) ? std::max(plain_error, floor) : floor;
    const double ratio = error / plain_error;
    const double allowed = i == 0 ? kMaxOutRatio : kMaxGradRatio;
    accuracy.error_ratio = std::max(accuracy.error_ratio, ratio);
    if (!(ratio <= allowed) && !(ratio / allowed <= worst)) {
      worst = ratio / allowed;
      accuracy.passed = false;
      accuracy.reason = fmt::format(
          "{}: relative L2 error {:.3g} against float64 is {:.3g} times that of the plain formula "
          "({:.3g}); allowed: {:g}",
          kNames[i], error, ratio, plain_error, allowed);
    }
    if (i == 0) accuracy.error_out = error;
    if (i == 1) accuracy.error_dq = error;
    if (i == 2) accuracy.error_dk = error;
    if (i == 3) accuracy.error_dv = error;
  }

  const Formula full = [&](const Inputs& part, const at::Tensor& part_rows) {
    return softmax_reference(part, {.causal = part.causal}, part_rows);
  };
  const Quantities full_attention = evaluate(full, inputs, rows, {}, at::kDouble);
  accuracy.approx_error =
      result.finite ? relative_error(result.out, full_attention[0], terms[0]) : kInfinity;
  return accuracy;
}

}  // namespace attnlab::measure
