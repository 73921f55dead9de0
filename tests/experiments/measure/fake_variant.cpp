#include "tests/experiments/measure/fake_variant.h"

#include "variants/api/softmax_reference.h"

namespace attnlab::measure {

VariantInfo FakeVariant::info() const {
  return {.name = "fake",
          .summary = "exact attention with hooks",
          .paper = "",
          .exact = true,
          .time_order = "N^2",
          .memory_order = "N^2",
          .extra_inputs = extra_inputs};
}

Outputs FakeVariant::do_forward(const Inputs& inputs) const {
  const at::Tensor exact = do_reference(inputs, {});
  return distort ? distort(inputs, exact) : Outputs{exact, std::nullopt, std::nullopt};
}

at::Tensor FakeVariant::do_reference(const Inputs& inputs, const at::Tensor& query_rows) const {
  return softmax_reference(inputs, {.causal = inputs.causal}, query_rows);
}

Support FakeVariant::do_supports(const Problem& problem) const {
  return support ? support(problem) : Support::yes();
}

Plan FakeVariant::do_plan(const Problem& problem) const {
  const Plan plan = Variant::do_plan(problem);
  return change_plan ? change_plan(plan) : plan;
}

Problem small_problem(Direction direction) {
  Problem problem;
  problem.batch = 2;
  problem.heads = problem.kv_heads = 2;
  problem.seqlen_q = problem.seqlen_k = 96;
  problem.head_dim = problem.head_dim_v = 8;
  problem.causal = true;
  problem.direction = direction;
  return problem;
}

}  // namespace attnlab::measure
