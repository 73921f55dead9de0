// A formula and its gradients on sampled query rows, computed in pieces so that long sequences fit
// into memory.
#pragma once

#include <array>
#include <functional>

#include "variants/api/variant.h"

namespace attnlab::measure {

/// out (sampled rows only), dq, dk, dv.
inline constexpr std::size_t kQuantities = 4;
using Quantities = std::array<at::Tensor, kQuantities>;

/// Variant::reference or another formula of its shape: `[batch, heads, rows, head_dim_v]`.
using Formula = std::function<at::Tensor(const Inputs&, const at::Tensor& rows)>;

/// Evaluates `formula` on the rows (int64, sorted) at `dtype`; where `grad_rows`
/// `[batch, heads, rows, head_dim_v]` (float64) is defined, the gradients of
/// sum(out * grad_rows) too, each of its input's whole shape. Everything comes back as float64.
/// Works through batch items and row blocks one after another.
Quantities evaluate(const Formula& formula, const Inputs& inputs, const at::Tensor& rows,
                    const at::Tensor& grad_rows, at::ScalarType dtype);

}  // namespace attnlab::measure
