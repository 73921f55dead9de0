#include "experiments/measure/memory_pass.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <set>
#include <vector>

#include "experiments/measure/gradients.h"
#include "experiments/measure/memory.h"

namespace attnlab::measure {
namespace {

/// Bytes of storage, each storage once, those in `seen` not at all; adds what it counts to `seen`.
std::int64_t storage_bytes(const std::vector<at::Tensor>& tensors,
                           std::set<const c10::StorageImpl*>& seen) {
  std::int64_t bytes = 0;
  for (const at::Tensor& tensor : tensors) {
    if (!tensor.defined() || !tensor.has_storage()) continue;
    if (!seen.insert(tensor.storage().unsafeGetStorageImpl()).second) continue;
    bytes += static_cast<std::int64_t>(tensor.storage().nbytes());
  }
  return bytes;
}

std::vector<at::Tensor> input_tensors(const Inputs& inputs, const at::Tensor& grad_out) {
  std::vector<at::Tensor> tensors = {inputs.q, inputs.k, inputs.v, grad_out};
  for (const auto& [name, tensor] : inputs.extra) tensors.push_back(tensor);
  return tensors;
}

std::vector<at::Tensor> output_tensors(const Outputs& outputs) {
  return {outputs.out, outputs.lse.value_or(at::Tensor())};
}

void finish(MemoryUse& use) {
  use.workspace = std::max<std::int64_t>(0, use.peak - use.input - use.output - use.saved);
}

MemoryUse measure_forward(const Variant& variant, const Inputs& inputs, at::DeviceType device) {
  const at::NoGradGuard no_grad;
  MemoryUse use;
  std::set<const c10::StorageImpl*> seen;
  use.input = storage_bytes(input_tensors(inputs, {}), seen);
  const PeakScope scope(device);
  const Outputs outputs = variant.forward(inputs);
  use.peak = use.input + scope.peak_bytes();
  use.output = storage_bytes(output_tensors(outputs), seen);
  finish(use);
  return use;
}

MemoryUse measure_backward(const Variant& variant, const Inputs& inputs, const at::Tensor& grad_out,
                           bool forward_counts, at::DeviceType device) {
  MemoryUse use;
  std::set<const c10::StorageImpl*> seen;
  use.input = storage_bytes(input_tensors(inputs, grad_out), seen);
  const Inputs leaves = with_gradients(inputs);

  const std::int64_t before = live_bytes(device);
  Outputs outputs;
  {
    const PeakScope scope(device);
    outputs = variant.forward(leaves);
    if (forward_counts) use.peak = scope.peak_bytes();
  }
  const std::int64_t kept = live_bytes(device) - before;
  use.output = storage_bytes(output_tensors(outputs), seen);
  use.saved = std::max<std::int64_t>(0, kept - use.output);

  const PeakScope scope(device);
  const Gradients grads = backward(outputs.out, leaves, grad_out);
  use.peak = use.input + std::max(use.peak, kept + scope.peak_bytes());
  use.output += storage_bytes({grads.begin(), grads.end()}, seen);
  finish(use);
  return use;
}

}  // namespace

MemoryUse measure_memory(const Variant& variant, const Inputs& inputs, const at::Tensor& grad_out,
                         const Problem& problem) {
  if (!problem.with_backward()) return measure_forward(variant, inputs, problem.device);
  return measure_backward(variant, inputs, grad_out, problem.direction != Direction::kBackward,
                          problem.device);
}

}  // namespace attnlab::measure
