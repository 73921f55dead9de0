#include "experiments/measure/accuracy.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "experiments/measure/gradients.h"
#include "experiments/measure/random.h"
#include "experiments/measure/sampled_formula.h"
#include "variants/api/softmax_reference.h"
#include "variants/api/unit_roundoff.h"

namespace attnlab::measure {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kZeroWithinRounding = 1e-6;
constexpr std::array kNames = {"out", "dq", "dk", "dv"};

double l2_norm(const at::Tensor& tensor) {
  return at::linalg_vector_norm(tensor.to(at::kDouble)).item<double>();
}

/// Root mean square of the rows' norms.
double row_norm(const at::Tensor& tensor) {
  return l2_norm(tensor) / std::sqrt(static_cast<double>(tensor.numel() / tensor.size(-1)));
}

bool is_finite(const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); }

/// grad_out of the sampled rows, float64, in two parts that add up to it; undefined = none.
struct GradRows {
  at::Tensor several;  ///< of rows whose output depends on their query
  at::Tensor flat;     ///< of those where dq is zero, such as a row that sees one key
};

struct VariantResult {
  at::Tensor out;            ///< sampled rows
  Gradients gradients;       ///< of the rows in GradRows::several
  Gradients flat_gradients;  ///< of those in GradRows::flat
  bool finite = true;        ///< the whole of out
};

/// What the variant itself gives: sampled rows of out, whole gradients.
VariantResult run_variant(const Variant& variant, const Inputs& inputs, const at::Tensor& rows,
                          const GradRows& grad_rows) {
  VariantResult result;
  const bool with_backward = grad_rows.several.defined();
  const Inputs leaves = with_backward ? with_gradients(inputs) : inputs;
  const at::AutoGradMode grad_mode(with_backward);
  const at::Tensor out = variant.forward(leaves).out;
  result.finite = is_finite(out.detach());
  result.out = out.detach().index_select(2, rows);
  const auto gradients_of = [&](const at::Tensor& part, bool keep_graph) {
    const at::Tensor grad_out =
        at::zeros_like(out.detach()).index_copy_(2, rows, part.to(out.scalar_type()));
    return backward(out, leaves, grad_out, keep_graph);
  };
  if (grad_rows.flat.defined()) result.flat_gradients = gradients_of(grad_rows.flat, true);
  if (with_backward) result.gradients = gradients_of(grad_rows.several, false);
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

/// Takes the rows whose exact dq is zero within rounding out of `grad_rows` and their share out of
/// `exact`; returns that share. Nothing happens where no row or every row is of this kind.
Quantities split_flat_rows(const Formula& formula, const Inputs& inputs, const at::Tensor& rows,
                           double scale, GradRows& grad_rows, Quantities& exact) {
  const auto norms = [](const at::Tensor& x) { return at::linalg_vector_norm(x, 2, {-1}, true); };
  const double terms = scale * row_norm(inputs.v) * row_norm(inputs.k);
  const at::Tensor flat = norms(exact[1].index_select(2, rows)) <=
                          norms(grad_rows.several) * (kZeroWithinRounding * terms);
  if (!flat.any().item<bool>() || flat.all().item<bool>()) return {};
  grad_rows.flat = grad_rows.several * flat;
  grad_rows.several = grad_rows.several * flat.logical_not();
  const at::Tensor chosen = flat.any(3).any(1).any(0).nonzero().flatten();
  const Quantities share = evaluate(formula, inputs, rows.index_select(0, chosen),
                                    grad_rows.flat.index_select(2, chosen), at::kDouble);
  for (std::size_t i = 1; i < kQuantities; ++i) exact[i].sub_(share[i]);
  return share;
}

/// Collects the ratios of errors to what they are compared with.
class Gate {
 public:
  explicit Gate(AccuracyResult& result) : result_(result) {}

  /// `error` against `yardstick`; `rows` and `against` describe the two for the reason.
  void compare(std::size_t quantity, double error, double yardstick, const char* rows,
               const char* against) {
    if (std::isnan(error)) error = kInfinity;  // the reference itself is not finite
    const double ratio = error / yardstick;
    const double allowed = quantity == 0 ? kMaxOutRatio : kMaxGradRatio;
    result_.error_ratio = std::max(result_.error_ratio, ratio);
    report(quantity, error);
    if (ratio <= allowed || ratio / allowed <= worst_) return;
    worst_ = ratio / allowed;
    result_.passed = false;
    result_.reason = fmt::format(
        "{}{}: relative L2 error {:.3g} against float64 is {:.3g} times {} ({:.3g}); allowed: {:g}",
        kNames[quantity], rows, error, ratio, against, yardstick, allowed);
  }

 private:
  void report(std::size_t quantity, double error) {
    const auto raise = [error](std::optional<double>& to) { to = std::max(to.value_or(0), error); };
    if (quantity == 0) result_.error_out = error;
    if (quantity == 1) raise(result_.error_dq);
    if (quantity == 2) raise(result_.error_dk);
    if (quantity == 3) raise(result_.error_dv);
  }

  AccuracyResult& result_;
  double worst_ = -1;
};

/// Probabilistic bound of the rounding error of an inner product over a head's dimensions, relative
/// to the sum of its absolute terms: sqrt(n) u (Higham and Mary 2019, A new approach to
/// probabilistic rounding error analysis, SIAM J. Sci. Comput. 41). 16-bit types are summed in
/// float32 and rounded once.
double inner_product_bound(const Problem& problem) {
  const auto sums = problem.dtype == at::kDouble ? at::kDouble : at::kFloat;
  const auto dims = static_cast<double>(std::max(problem.head_dim, problem.head_dim_v));
  return std::max(unit_roundoff(problem.dtype), std::sqrt(dims) * unit_roundoff(sums));
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
  const double scale = problem.scale_or_default();
  const bool with_backward = problem.with_backward();
  const Formula formula = [&](const Inputs& part, const at::Tensor& part_rows) {
    return variant.reference(part, part_rows);
  };
  GradRows grad_rows;
  if (with_backward) grad_rows.several = grad_out.index_select(2, rows).to(at::kDouble);
  Quantities exact = evaluate(formula, inputs, rows, grad_rows.several, at::kDouble);
  Quantities flat;
  if (with_backward) flat = split_flat_rows(formula, inputs, rows, scale, grad_rows, exact);

  const VariantResult result = run_variant(variant, inputs, rows, grad_rows);
  AccuracyResult accuracy;
  Gate gate(accuracy);
  const std::int64_t out_rows = problem.batch * problem.heads * rows.size(0);
  if (grad_rows.flat.defined()) {
    const auto terms = term_norms(inputs, grad_rows.flat, scale, out_rows);
    for (std::size_t i = 1; i < kQuantities; ++i) {
      const at::Tensor& gradient = result.flat_gradients[i - 1];
      const double error = is_finite(gradient)
                               ? l2_norm(gradient.to(at::kDouble).sub_(flat[i])) / terms[i]
                               : kInfinity;
      gate.compare(i, error, inner_product_bound(problem), " of rows whose dq is zero",
                   "the bound of an inner product's");
    }
    flat = {};
  }

  const bool is_double = problem.dtype == at::kDouble;
  const Quantities plain =
      evaluate(formula, inputs, rows, grad_rows.several, is_double ? at::kFloat : problem.dtype);
  const auto terms = term_norms(inputs, grad_rows.several, scale, out_rows);
  const double floor = unit_roundoff(problem.dtype);
  for (std::size_t i = 0; i < (with_backward ? kQuantities : 1); ++i) {
    const double error =
        i == 0 && !result.finite
            ? kInfinity
            : relative_error(i == 0 ? result.out : result.gradients[i - 1], exact[i], terms[i]);
    double plain_error = relative_error(plain[i], exact[i], terms[i]) * (is_double ? 0x1p-29 : 1.0);
    // A plain formula that overflows is no yardstick.
    plain_error = std::isfinite(plain_error) ? std::max(plain_error, floor) : floor;
    gate.compare(i, error, plain_error, "", "that of the plain formula");
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
