#include "experiments/measure/sampled_formula.h"

#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "experiments/measure/gradients.h"

namespace attnlab::measure {
namespace {

constexpr double kScoreBlockBytes = 64.0 * 1024 * 1024;

/// Batch item `b` (all of them for b < 0) at another dtype.
Inputs slice(const Inputs& inputs, std::int64_t b, at::ScalarType dtype) {
  Inputs part = inputs;
  for (at::Tensor* tensor : {&part.q, &part.k, &part.v}) {
    *tensor = (b < 0 ? *tensor : tensor->narrow(0, b, 1)).detach().to(dtype);
  }
  return part;
}

}  // namespace

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

}  // namespace attnlab::measure
