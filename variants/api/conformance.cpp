#include "variants/api/conformance.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "variants/api/conformance_cases.h"
#include "variants/api/softmax_reference.h"
#include "variants/api/unit_roundoff.h"

namespace attnlab {
namespace {

constexpr std::uint64_t kSeed = 20240229;

// L2 distance relative to the reference, or to order-one entries where the reference is smaller:
// gradients may vanish in truth (a softmax over one key), and N(0, 1) data make entries of order
// one.
double distance(const at::Tensor& value, const at::Tensor& reference) {
  if (reference.numel() == 0) return 0;
  const double norm = reference.norm().item<double>();
  const double scale = std::max(norm, std::sqrt(static_cast<double>(reference.numel())));
  const double difference = (value.to(at::kDouble) - reference).norm().item<double>();
  return std::isfinite(difference) ? difference / scale : std::numeric_limits<double>::infinity();
}

/// The error of the plain formula at the dtype of a case. float64 is the reference's own dtype,
/// where it would be 0: there it is estimated from float32, whose roundoff is 2^29 times larger.
double formula_error(const at::Tensor& formula, const at::Tensor& reference, at::ScalarType dtype) {
  return distance(formula, reference) * (dtype == at::kDouble ? std::ldexp(1.0, -29) : 1.0);
}

/// The dtype at which the plain formula is computed for formula_error.
at::ScalarType formula_dtype(at::ScalarType dtype) {
  return dtype == at::kDouble ? at::kFloat : dtype;
}

// FlashAttention's rule: at most `factor` times the error of the plain formula at the same dtype.
// The formula's error is counted as at least a few unit roundoffs: below that it is luck, not
// accuracy. Few for 16-bit types, whose sums are kept in float32 and rounded once.
PropertyResult within_ratio(std::string property, const at::Tensor& value,
                            const at::Tensor& reference, const at::Tensor& formula, double factor,
                            at::ScalarType dtype) {
  const double error = distance(value, reference);
  const double roundoffs = c10::elementSize(dtype) == 2 ? 2 : 4;
  const double allowed =
      factor * std::max(formula_error(formula, reference, dtype), roundoffs * unit_roundoff(dtype));
  return {.property = std::move(property),
          .problem = {},
          .passed = error <= allowed,
          .detail = fmt::format("error {:.3g}, allowed {:.3g}", error, allowed)};
}

PropertyResult same_bits(std::string property, const at::Tensor& a, const at::Tensor& b) {
  PropertyResult result{
      .property = std::move(property), .problem = {}, .passed = at::equal(a, b), .detail = {}};
  if (!result.passed) {
    const at::Tensor differ = (a != b).flatten();
    const std::int64_t first = differ.to(at::kLong).argmax().item<std::int64_t>();
    result.detail =
        fmt::format("{} of {} elements differ, first at {}: {} and {}",
                    differ.sum().item<std::int64_t>(), differ.numel(), first,
                    a.flatten()[first].item<double>(), b.flatten()[first].item<double>());
  }
  return result;
}

Inputs to_dtype(const Inputs& inputs, at::ScalarType dtype) {
  Inputs out = inputs;
  out.q = inputs.q.to(dtype);
  out.k = inputs.k.to(dtype);
  out.v = inputs.v.to(dtype);
  return out;
}

/// Leaves are q, k, v and the variant's parameters, which get the dtype of q.
Inputs requiring_grad(const Variant& variant, const Inputs& inputs) {
  Inputs out = inputs;
  for (at::Tensor* tensor : {&out.q, &out.k, &out.v}) {
    *tensor = tensor->detach().clone().requires_grad_(true);
  }
  for (const LearnedParameter& parameter : variant.info().parameters) {
    at::Tensor& tensor = out.extra[parameter.name];
    tensor = tensor.detach().to(inputs.q.scalar_type(), false, /*copy=*/true).requires_grad_(true);
  }
  return out;
}

std::vector<at::Tensor> gradients(const Variant& variant, const at::Tensor& out,
                                  const Inputs& inputs, const at::Tensor& grad_out) {
  std::vector<at::Tensor> leaves = {inputs.q, inputs.k, inputs.v};
  for (const LearnedParameter& parameter : variant.info().parameters) {
    leaves.push_back(inputs.extra.at(parameter.name));
  }
  if (!out.requires_grad()) {  // depends on none of them
    for (at::Tensor& leaf : leaves) leaf = at::zeros_like(leaf);
    return leaves;
  }
  auto grads = torch::autograd::grad({out}, leaves, {grad_out.to(out.scalar_type())}, std::nullopt,
                                     false, /*allow_unused=*/true);
  for (std::size_t i = 0; i < grads.size(); ++i) {
    if (!grads[i].defined()) grads[i] = at::zeros_like(leaves[i]);
  }
  return grads;
}

using Results = std::vector<PropertyResult>;

void check_values(const Variant& variant, const Inputs& inputs, const Problem& p,
                  Results& results) {
  const Inputs own = requiring_grad(variant, inputs);
  const Inputs exact = requiring_grad(variant, to_dtype(inputs, at::kDouble));
  const Inputs plain = requiring_grad(variant, to_dtype(inputs, formula_dtype(p.dtype)));
  const at::Tensor out = variant.forward(own).out;
  const at::Tensor reference = variant.reference(exact);
  const at::Tensor formula = variant.reference(plain);
  results.push_back({.property = "keeps_the_dtype",
                     .problem = {},
                     .passed = out.scalar_type() == p.dtype,
                     .detail = dtype_name(out.scalar_type())});
  results.push_back(within_ratio("equals_reference", out.detach(), reference.detach(),
                                 formula.detach(), 2, p.dtype));

  at::Generator generator = at::detail::createCPUGenerator(kSeed + 1);
  const at::Tensor grad_out =
      at::randn(out.sizes(), generator, at::TensorOptions().dtype(at::kDouble))
          .to(p.device, p.dtype);
  const auto ours = gradients(variant, out, own, grad_out);
  const auto truth = gradients(variant, reference, exact, grad_out);
  const auto baseline = gradients(variant, formula, plain, grad_out);
  std::vector<std::string> names = {"q", "k", "v"};
  for (const LearnedParameter& parameter : variant.info().parameters) {
    names.push_back(parameter.name);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    results.push_back(within_ratio(fmt::format("grad_{}_equals_reference", names[i]), ours[i],
                                   truth[i], baseline[i], 3, p.dtype));
  }
}

void check_repeatable(const Variant& variant, const Inputs& inputs, const Problem&,
                      Results& results) {
  results.push_back(
      same_bits("same_inputs_same_bits", variant.forward(inputs).out, variant.forward(inputs).out));
}

// The last key is visible to the last query only, so the rows before it must not notice what it
// holds.
Inputs with_last_key(const Inputs& inputs, double key, double value) {
  Inputs changed = inputs;
  changed.k = inputs.k.clone();
  changed.v = inputs.v.clone();
  changed.k.select(2, inputs.k.size(2) - 1).fill_(key);
  changed.v.select(2, inputs.v.size(2) - 1).fill_(value);
  return changed;
}

void check_causality(const Variant& variant, const Inputs& inputs, const Problem& p,
                     Results& results) {
  if (!p.causal || p.seqlen_k < 2) return;
  const std::int64_t rows = p.seqlen_q - 1;
  const auto earlier_rows = [&](const Inputs& any) {
    return variant.forward(any).out.narrow(2, 0, rows);
  };
  const at::Tensor before = earlier_rows(inputs);
  results.push_back(same_bits("causal_rows_ignore_later_keys", before,
                              earlier_rows(with_last_key(inputs, 3.0, -7.0))));
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  // A careful path may sum in another order: close to the reference, not the same bits.
  results.push_back(within_ratio(
      "masked_nan_reaches_no_row", earlier_rows(with_last_key(inputs, kNan, kInf)),
      variant.reference(to_dtype(inputs, at::kDouble)).narrow(2, 0, rows),
      variant.reference(to_dtype(inputs, formula_dtype(p.dtype))).narrow(2, 0, rows), 2, p.dtype));
}

void check_rows_without_keys(const Variant& variant, const Inputs& inputs, const Problem& p,
                             Results& results) {
  if (!p.causal || p.seqlen_q <= p.seqlen_k) return;
  const at::Tensor empty_rows = variant.forward(inputs).out.narrow(2, 0, p.seqlen_q - p.seqlen_k);
  results.push_back(
      same_bits("rows_without_keys_are_zero", empty_rows, at::zeros_like(empty_rows)));
}

void check_batch_independence(const Variant& variant, const Inputs& inputs, const Problem& p,
                              Results& results) {
  if (p.batch < 2) return;
  Inputs changed = inputs;
  for (at::Tensor* tensor : {&changed.q, &changed.k, &changed.v}) {
    *tensor = tensor->clone();
    tensor->select(0, 1).mul_(-3.0).add_(1.0);
  }
  results.push_back(same_bits("batch_items_are_independent",
                              variant.forward(inputs).out.select(0, 0),
                              variant.forward(changed).out.select(0, 0)));
}

void check_strided_views(const Variant& variant, const Inputs& inputs, const Problem& p,
                         Results& results) {
  // The layout [batch, seqlen, heads, head_dim], seen as [batch, heads, seqlen, head_dim].
  Inputs strided = inputs;
  for (at::Tensor* tensor : {&strided.q, &strided.k, &strided.v}) {
    *tensor = tensor->transpose(1, 2).contiguous().transpose(1, 2);
  }
  const at::Tensor reference = variant.reference(to_dtype(inputs, at::kDouble));
  results.push_back(
      within_ratio("strided_views_equal_reference", variant.forward(strided).out, reference,
                   variant.reference(to_dtype(inputs, formula_dtype(p.dtype))), 2, p.dtype));
}

void check_large_scores(const Variant& variant, const Inputs& inputs, const Problem& p,
                        Results& results) {
  if (p.dtype == at::kHalf) return;  // 100 * 100 * head_dim leaves the range of float16 itself
  Inputs large = inputs;
  large.q = inputs.q * 100;
  large.k = inputs.k * 100;
  const bool finite = at::isfinite(variant.forward(large).out).all().item<bool>();
  results.push_back({.property = "large_scores_stay_finite",
                     .problem = {},
                     .passed = finite,
                     .detail = "q and k times 100"});
}

void check_weights(const Variant& variant, const Inputs& inputs, const Problem& p,
                   Results& results) {
  if (p.dtype != at::kDouble) return;
  at::Tensor weights;
  try {
    weights = variant.weights(inputs);
  } catch (const UnsupportedError& error) {
    results.push_back({.property = "weights_times_v_is_the_output",
                       .problem = {},
                       .passed = true,
                       .detail = error.what(),
                       .skipped = true});
    return;
  }
  const at::Tensor product = at::matmul(weights, repeat_kv_heads(inputs.v, p.heads));
  const at::Tensor reference = variant.reference(inputs);
  const at::Tensor formula = variant.reference(to_dtype(inputs, formula_dtype(p.dtype)));
  results.push_back(
      within_ratio("weights_times_v_is_the_output", product, reference, formula, 16, p.dtype));
}

void check_forward_agrees_with_supports(const Variant& variant, const Inputs& inputs,
                                        const Support& support, Results& results) {
  PropertyResult result{};
  result.property = "forward_throws_iff_unsupported";
  try {
    variant.forward(inputs);
    result.passed = support.ok;
    if (!result.passed) result.detail = "supports says no, but forward ran: " + support.reason;
  } catch (const UnsupportedError& error) {
    result.passed = !support.ok;
    result.detail = error.what();
  }
  results.push_back(result);
}

Results check_problem(const Variant& variant, const Problem& problem) {
  Results results;
  const Inputs inputs = conformance_inputs(variant, problem, kSeed);
  const Support support = variant.supports(problem);
  check_forward_agrees_with_supports(variant, inputs, support, results);
  if (!support.ok) {
    results.push_back({.property = "supported",
                       .problem = {},
                       .passed = true,
                       .detail = support.reason,
                       .skipped = true});
    return results;
  }
  for (const auto check :
       {check_values, check_repeatable, check_causality, check_rows_without_keys,
        check_batch_independence, check_strided_views, check_large_scores, check_weights}) {
    check(variant, inputs, problem, results);
  }
  return results;
}

bool has_optional_inputs(const Variant& variant) {
  const std::vector<ExtraInput> declared = variant.info().extra_inputs;
  return std::ranges::any_of(declared, [](const ExtraInput& e) { return e.optional; });
}

/// What optional inputs can change, with all of them given.
Results check_with_optional(const Variant& variant, const Problem& problem) {
  Results results;
  const Inputs inputs = conformance_inputs(variant, problem, kSeed, /*with_optional=*/true);
  check_values(variant, inputs, problem, results);
  check_causality(variant, inputs, problem, results);
  check_weights(variant, inputs, problem, results);
  return results;
}

}  // namespace

std::vector<PropertyResult> check_conformance(const Registry& registry, const std::string& name,
                                              const std::map<std::string, OptionValue>& options,
                                              at::DeviceType device) {
  const std::unique_ptr<Variant> variant = registry.make(name, options);
  const std::map<std::string, std::string> exceptions = variant->info().known_exceptions;
  Results all;
  const auto add = [&](const auto& check, const Problem& problem, const std::string& with) {
    Results results;
    try {
      results = check(*variant, problem);
    } catch (const std::exception& error) {
      results.push_back({.property = "runs_without_an_exception",
                         .problem = {},
                         .passed = false,
                         .detail = error.what()});
    }
    for (PropertyResult& result : results) {
      result.problem = case_name(problem) + with;
      const auto exception = exceptions.find(result.property);
      if (exception != exceptions.end()) {
        result.detail = exception->second + (result.passed ? "" : " (" + result.detail + ")");
        result.passed = result.skipped = true;
      }
      all.push_back(std::move(result));
    }
  };
  const bool optional = has_optional_inputs(*variant);
  for (Problem problem : conformance_problems()) {
    problem.device = device;
    add(check_problem, problem, "");
    if (optional && variant->supports(problem).ok) {
      add(check_with_optional, problem, " with optional inputs");
    }
  }
  return all;
}

}  // namespace attnlab
