#include "experiments/measure/inputs.h"

#include <ATen/ops/empty.h>
#include <fmt/core.h>

#include "experiments/measure/random.h"
#include "experiments/measure/text_inputs.h"
#include "kernels/core/error.h"

namespace attnlab::measure {
namespace {

/// Streams of the generator; text_inputs.cpp has its own from 16 on.
enum Stream : std::uint64_t { kStreamQ = 1, kStreamK, kStreamV, kStreamGradOut };

at::Tensor normal(at::IntArrayRef sizes, std::uint64_t seed, std::uint64_t stream) {
  at::Tensor tensor = at::empty(sizes, at::kFloat);
  fill_normal({tensor.mutable_data_ptr<float>(), static_cast<std::size_t>(tensor.numel())}, seed,
              stream);
  return tensor;
}

at::Tensor place(const at::Tensor& tensor, const Problem& problem) {
  return tensor.to(at::TensorOptions().dtype(problem.dtype).device(problem.device));
}

}  // namespace

std::vector<std::string> input_names() { return {"gaussian", "text"}; }

std::vector<OptionSpec> inputs_specs(const std::string& name) {
  if (name == "gaussian") return {};
  if (name == "text") return text_specs();
  throw ConfigError(fmt::format("[inputs] unknown inputs '{}'; known: {}.{}", name,
                                join_names(input_names()), did_you_mean(name, input_names())));
}

TrialInputs make_inputs(const InputsRequest& request) {
  const Problem& p = request.problem;
  const Options options("inputs " + request.name, inputs_specs(request.name), request.options);
  TrialInputs made;
  made.inputs.causal = p.causal;
  made.inputs.scale = p.scale;
  if (request.name == "text") {
    const TextTensors text = make_text(p, options, request.seed);
    made.inputs.q = place(text.q, p);
    made.inputs.k = place(text.k, p);
    made.inputs.v = place(text.v, p);
  } else {
    const auto make = [&](std::int64_t heads, std::int64_t seqlen, std::int64_t dim,
                          Stream stream) {
      return place(normal({p.batch, heads, seqlen, dim}, request.seed, stream), p);
    };
    made.inputs.q = make(p.heads, p.seqlen_q, p.head_dim, kStreamQ);
    made.inputs.k = make(p.kv_heads, p.seqlen_k, p.head_dim, kStreamK);
    made.inputs.v = make(p.kv_heads, p.seqlen_k, p.head_dim_v, kStreamV);
  }
  if (p.with_backward()) {
    made.grad_out = place(
        normal({p.batch, p.heads, p.seqlen_q, p.head_dim_v}, request.seed, kStreamGradOut), p);
  }
  return made;
}

}  // namespace attnlab::measure
