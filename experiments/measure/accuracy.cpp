#include "experiments/measure/accuracy.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "experiments/measure/gradients.h"
#include "experiments/measure/random.h"
#include "variants/api/softmax_reference.h"
#include "variants/api/unit_roundoff.h"

namespace attnlab::measure {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kZeroWithinRounding = 1e-6;
constexpr double kScoreBlockBytes = 64.0 * 1024 * 1024;

/// out (sampled rows), dq, dk, dv.
constexpr std::size_t kQuantities = 4;
constexpr std::array kNames = {"out", "dq", "dk", "dv"};
using Quantities = std::array<at::Tensor, kQuantities>;
using Formula = std::function<at::Tensor(const Inputs&, const at::Tensor& rows)>;

double norm(const at::Tensor& tensor) {
  return at::linalg_vector_norm(tensor.to(at::kDouble)).item<double>();
}

/// Root mean square of the rows' norms.
double row_norm(const at::Tensor& tensor) {
  return norm(tensor) / std::sqrt(static_cast<double>(tensor.numel() / tensor.size(-1)));
}

bool is_finite(const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); }

/// Batch item `b` (all of them for b < 0) at another dtype.
Inputs slice(const Inputs& inputs, std::int64_t b, at::ScalarType dtype) {
  Inputs part = inputs;
  for (at::Tensor* tensor : {&part.q, &part.k, &part.v}) {
    *tensor = (b < 0 ? *tensor : tensor->narrow(0, b, 1)).detach().to(dtype);
  }
  return part;
}

/// Evaluates `formula` on the rows at `dtype`; gradients too where `grad_rows` (float64) is
/// defined. Everything comes back as float64.
Quantities evaluate(const Formula& formula, const Inputs& inputs, const at::Tensor& rows,
                    const at::Tensor& grad_rows, at::ScalarType dtype) {
  const auto options = at::TensorOptions(at::kDouble).device(inputs.q.device());
  const std::int64_t count = rows.size(0);
  const std::int64_t heads = inputs.q.size(1);
  Quantities all;
  all[0] = at::zeros({inputs.q.size(0), heads, count, inputs.v.size(3)}, options);
  if (grad_rows.defined()) {
    all[1] = at::zeros_like(inputs.q, options);
    all[2] = at::zeros_like(inputs.k, options);
    all[3] = at::zeros_like(inputs.v, options);
  }
  // Extra inputs have shapes of their own, so a batch with them cannot be cut.
  const bool cut = inputs.extra.empty();
  const double row_bytes = 8.0 * static_cast<double>(heads * inputs.k.size(2)) *
                           static_cast<double>(cut ? 1 : inputs.q.size(0));
  const auto block =
      std::clamp(static_cast<std::int64_t>(kScoreBlockBytes / row_bytes), std::int64_t{1}, count);
  for (std::int64_t b = cut ? 0 : -1; b < (cut ? inputs.q.size(0) : 0); ++b) {
    const Inputs part = slice(inputs, b, dtype);
    const auto of_batch = [&](const at::Tensor& tensor) {
      return b < 0 ? tensor : tensor.narrow(0, b, 1);
    };
    for (std::int64_t begin = 0; begin < count; begin += block) {
      const std::int64_t size = std::min(block, count - begin);
      const Inputs leaves = grad_rows.defined() ? with_gradients(part) : part;
      const at::Tensor out = formula(leaves, rows.narrow(0, begin, size));
      of_batch(all[0]).narrow(2, begin, size).copy_(out.detach());
      if (!grad_rows.defined()) continue;
      const auto grad = of_batch(grad_rows).narrow(2, begin, size).to(dtype);
      const Gradients grads = backward(out, leaves, grad);
      for (std::size_t i = 0; i < grads.size(); ++i) of_batch(all[i + 1]).add_(grads[i]);
    }
  }
  return all;
}

/// What the variant itself gives: sampled rows of out, whole gradients.
Quantities run_variant(const Variant& variant, const Inputs& inputs, const at::Tensor& rows,
                       const at::Tensor& grad_out, bool& finite) {
  Quantities all;
  if (!grad_out.defined()) {
    const at::NoGradGuard no_grad;
    const at::Tensor out = variant.forward(inputs).out;
    finite = is_finite(out);
    all[0] = out.index_select(2, rows);
    return all;
  }
  const Inputs leaves = with_gradients(inputs);
  const at::Tensor out = variant.forward(leaves).out;
  finite = is_finite(out.detach());
  all[0] = out.detach().index_select(2, rows);
  const at::Tensor masked =
      at::zeros_like(grad_out).index_copy_(2, rows, grad_out.index_select(2, rows));
  const Gradients grads = backward(out, leaves, masked);
  std::copy(grads.begin(), grads.end(), all.begin() + 1);
  return all;
}

/// Sizes of the sums of absolute terms that make each quantity: what rounding errors scale with
/// where the terms cancel. dS = P (dP - D) and dP = g v, so dq and dk hold scale |g| |v| |k| or
/// |q|.
std::array<double, kQuantities> term_norms(const Inputs& inputs, const at::Tensor& grad_rows,
                                           double scale, std::int64_t out_rows) {
  std::array<double, kQuantities> terms = {};
  terms[0] = row_norm(inputs.v) * std::sqrt(static_cast<double>(out_rows));
  if (!grad_rows.defined()) return terms;
  const double score = scale * norm(grad_rows) * row_norm(inputs.v);
  terms[1] = score * row_norm(inputs.k);
  terms[2] = score * row_norm(inputs.q);
  terms[3] = norm(grad_rows);
  return terms;
}

double relative_error(const at::Tensor& result, const at::Tensor& reference, double terms) {
  if (!is_finite(result)) return kInfinity;
  const double difference = norm(result.to(at::kDouble).sub(reference));
  if (difference == 0) return 0;
  const double size = norm(reference);
  return difference / (size > kZeroWithinRounding * terms ? size : terms);
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
  const at::Tensor grad = with_backward ? grad_out : at::Tensor();
  const at::Tensor grad_rows =
      with_backward ? grad_out.index_select(2, rows).to(at::kDouble) : at::Tensor();

  bool finite = true;
  const Quantities result = run_variant(variant, inputs, rows, grad, finite);
  const Formula formula = [&](const Inputs& part, const at::Tensor& part_rows) {
    return variant.reference(part, part_rows);
  };
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
    const double error =
        i == 0 && !finite ? kInfinity : relative_error(result[i], exact[i], terms[i]);
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
      finite ? relative_error(result[0], full_attention[0], terms[0]) : kInfinity;
  return accuracy;
}

}  // namespace attnlab::measure
