// A variant whose memory, errors and exceptions are known beforehand.
#pragma once

#include <functional>
#include <vector>

#include "variants/api/variant.h"

namespace attnlab::measure {

/// Exact attention in plain Torch operations, through two hooks.
class FakeVariant : public Variant {
 public:
  VariantInfo info() const override;

  /// Called with the exact output; what it returns is the variant's output.
  std::function<Outputs(const Inputs&, at::Tensor exact)> distort;
  std::function<Support(const Problem&)> support;
  std::function<Plan(Plan)> change_plan;
  std::vector<ExtraInput> extra_inputs = {};

 protected:
  Outputs do_forward(const Inputs& inputs) const override;
  at::Tensor do_reference(const Inputs& inputs, const at::Tensor& query_rows) const override;
  Support do_supports(const Problem& problem) const override;
  Plan do_plan(const Problem& problem) const override;
};

/// batch 2, heads 2, seqlen 96, head_dim 8, float32, causal.
Problem small_problem(Direction direction = Direction::kForward);

}  // namespace attnlab::measure
