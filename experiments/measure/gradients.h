// One forward and backward pass of a variant, with the leaves that it needs.
#pragma once

#include <array>

#include "variants/api/variant.h"

namespace attnlab::measure {

/// dq, dk, dv.
using Gradients = std::array<at::Tensor, 3>;

/// The same inputs, with q, k, v as leaves that require gradients. Shares their memory.
Inputs with_gradients(const Inputs& inputs);

/// Gradients of sum(out * grad_out) with respect to q, k and v of `leaves`. The graph is freed
/// unless `keep_graph`. Where `out` does not depend on one of them, its gradient is zero.
Gradients backward(const at::Tensor& out, const Inputs& leaves, const at::Tensor& grad_out,
                   bool keep_graph = false);

}  // namespace attnlab::measure
