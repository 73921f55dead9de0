#include "variants/api/variant.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kernels/core/error.h"
#include "variants/api/cost.h"
#include "variants/api/declared_tensors.h"
#include "variants/api/softmax_reference.h"

namespace attnlab {
namespace {

Support general_support(const Problem& p) {
  if (std::string(dtype_name(p.dtype)) == "unsupported") {
    return Support::no(
        fmt::format("dtype {} is not supported; allowed: float32, float64, bfloat16, float16",
                    c10::toString(p.dtype)));
  }
  if (p.kv_heads < 1 || p.heads % p.kv_heads != 0) {
    return Support::no(
        fmt::format("heads ({}) is not a multiple of kv_heads ({})", p.heads, p.kv_heads));
  }
  for (const auto& [size, name] : {std::pair{p.batch, "batch"},
                                   {p.heads, "heads"},
                                   {p.seqlen_q, "seqlen_q"},
                                   {p.seqlen_k, "seqlen_k"},
                                   {p.head_dim, "head_dim"},
                                   {p.head_dim_v, "head_dim_v"}}) {
    if (size < 1) return Support::no(fmt::format("{} is {}; it must be at least 1", name, size));
  }
  return Support::yes();
}

[[noreturn]] void throw_unsupported(const std::string& name, const Problem& problem,
                                    const std::string& reason) {
  throw UnsupportedError(
      fmt::format("[variant {}] {}. Asked for: {}.", name, reason, problem.to_string()));
}

/// Rank 2 and 3 inputs get the missing dimensions; `added` says how many.
Inputs with_rank_4(const Inputs& inputs, std::int64_t& added) {
  Inputs full = inputs;
  added = 0;
  if (!inputs.q.defined() || !inputs.k.defined() || !inputs.v.defined()) return full;
  const std::int64_t rank = inputs.q.dim();
  if (rank < 2 || rank > 4 || inputs.k.dim() != rank || inputs.v.dim() != rank) return full;
  for (; added < 4 - rank; ++added) {
    full.q = full.q.unsqueeze(0);
    full.k = full.k.unsqueeze(0);
    full.v = full.v.unsqueeze(0);
  }
  return full;
}

at::Tensor without_leading(at::Tensor tensor, std::int64_t count) {
  for (; count > 0; --count) tensor = tensor.squeeze(0);
  return tensor;
}

}  // namespace

const Options& Variant::options() const {
  static const Options kNone;
  return kNone;
}

Support Variant::supports(const Problem& problem) const {
  const Support support = general_support(problem);
  return support.ok ? do_supports(problem) : support;
}

Plan Variant::plan(const Problem& problem) const {
  const Support support = supports(problem);
  if (!support.ok) throw_unsupported(info().name, problem, support.reason);
  Plan plan = do_plan(problem);
  const std::int64_t declared = declared_bytes(info(), problem);
  plan.input_bytes += declared;
  plan.bytes += declared;
  return plan;
}

Outputs Variant::forward(const Inputs& given) const {
  std::int64_t added = 0;
  const Inputs inputs = with_rank_4(given, added);
  const Problem problem = problem_of(inputs);
  const VariantInfo about = info();
  const Support support = supports(problem);
  if (!support.ok) throw_unsupported(about.name, problem, support.reason);
  check_declared_tensors(about, inputs.extra, problem);
  Outputs outputs = do_forward(inputs);
  const std::vector<std::int64_t> expected = {problem.batch, problem.heads, problem.seqlen_q,
                                              problem.head_dim_v};
  if (!outputs.out.defined() || outputs.out.sizes() != at::IntArrayRef(expected)) {
    throw Error(fmt::format(
        "[variant {}] forward returned out of shape [{}]; expected [batch, heads, seqlen_q, "
        "head_dim_v] = [{}].",
        about.name,
        outputs.out.defined() ? fmt::format("{}", fmt::join(outputs.out.sizes(), ", "))
                              : std::string("undefined"),
        fmt::join(expected, ", ")));
  }
  outputs.out = without_leading(outputs.out, added);
  if (outputs.lse) outputs.lse = without_leading(*outputs.lse, added);
  if (outputs.weights) outputs.weights = without_leading(*outputs.weights, added);
  return outputs;
}

at::Tensor Variant::reference(const Inputs& given, const at::Tensor& query_rows) const {
  std::int64_t added = 0;
  const Inputs inputs = with_rank_4(given, added);
  check_declared_tensors(info(), inputs.extra, problem_of(inputs));
  return without_leading(do_reference(inputs, query_rows), added);
}

at::Tensor Variant::weights(const Inputs& given, const at::Tensor& query_rows) const {
  std::int64_t added = 0;
  const Inputs inputs = with_rank_4(given, added);
  check_declared_tensors(info(), inputs.extra, problem_of(inputs));
  return without_leading(do_weights(inputs, query_rows), added);
}

Support Variant::do_supports(const Problem&) const { return Support::yes(); }

Plan Variant::do_plan(const Problem& problem) const {
  Plan plan;
  plan.kernel_name = "torch_ops";
  plan.flops = softmax_attention_flops(problem, problem_mask(problem));
  count_tensors(problem, 0, plan);
  return plan;
}

at::Tensor Variant::do_reference(const Inputs& inputs, const at::Tensor& query_rows) const {
  return select_rows(do_forward(inputs).out, query_rows);
}

at::Tensor Variant::do_weights(const Inputs&, const at::Tensor&) const {
  throw UnsupportedError("[variant " + info().name + "] has no effective attention weights.");
}

}  // namespace attnlab
