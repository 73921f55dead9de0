#include "experiments/measure/gradients.h"

#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

namespace attnlab::measure {

Inputs with_gradients(const Inputs& inputs) {
  Inputs leaves = inputs;
  for (at::Tensor* tensor : {&leaves.q, &leaves.k, &leaves.v}) {
    *tensor = tensor->detach().requires_grad_();
  }
  return leaves;
}

Gradients backward(const at::Tensor& out, const Inputs& leaves, const at::Tensor& grad_out,
                   bool keep_graph) {
  const std::array<at::Tensor, 3> inputs = {leaves.q, leaves.k, leaves.v};
  constexpr bool kCreateGraph = false;
  constexpr bool kAllowUnused = true;
  const auto grads = torch::autograd::grad({out}, {inputs.begin(), inputs.end()}, {grad_out},
                                           keep_graph, kCreateGraph, kAllowUnused);
  Gradients result;
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = grads[i].defined() ? grads[i] : at::zeros_like(inputs[i]);
  }
  return result;
}

}  // namespace attnlab::measure
