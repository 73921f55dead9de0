#include "variants/api/cost.h"

#include <algorithm>

#include "kernels/ops/ops.h"
#include "kernels/ops/tensors.h"

namespace attnlab {

AttentionShape attention_shape(const Problem& p) {
  return {p.batch,    p.heads,    p.kv_heads,   p.seqlen_q,
          p.seqlen_k, p.head_dim, p.head_dim_v, ops::to_dtype(p.dtype)};
}

Mask problem_mask(const Problem& problem, std::int64_t window_left, std::int64_t window_right) {
  return {problem.seqlen_q, problem.seqlen_k, problem.causal, window_left, window_right};
}

double direction_factor(Direction direction) {
  switch (direction) {
    case Direction::kBackward: return 2.5;
    case Direction::kForwardBackward:
    case Direction::kTrain: return 3.5;
    case Direction::kForward:
    case Direction::kDecode: break;
  }
  return 1.0;
}

double softmax_attention_flops(const Problem& p, const Mask& mask) {
  return 2.0 * static_cast<double>(p.batch * p.heads) * static_cast<double>(mask.visible_pairs()) *
         static_cast<double>(p.head_dim + p.head_dim_v) * direction_factor(p.direction);
}

void count_tensors(const Problem& p, std::int64_t lse_bytes, Plan& plan) {
  const std::int64_t qkv = p.q_bytes() + p.k_bytes() + p.v_bytes();
  plan.input_bytes = qkv;
  plan.output_bytes = p.out_bytes() + lse_bytes;
  plan.bytes = plan.input_bytes + plan.output_bytes;
  if (!p.with_backward()) return;
  plan.input_bytes += p.out_bytes();  // the incoming gradient
  plan.output_bytes += qkv;           // dq, dk, dv
  // The backward pass alone reads q, k, v, out, lse and the gradient and writes three gradients.
  const std::int64_t backward = qkv + 2 * p.out_bytes() + lse_bytes + qkv;
  plan.bytes = p.direction == Direction::kBackward ? backward : plan.bytes + backward;
}

Plan plan_tiled_attention(const Problem& problem, const Mask& mask) {
  const AttentionShape shape = attention_shape(problem);
  const ops::OpPlan forward = ops::plan_attention(shape, {problem.threads, problem.device});
  Plan plan;
  plan.kernel_name = forward.kernel_name;
  plan.flops = softmax_attention_flops(problem, mask);
  count_tensors(problem, lse_bytes(problem), plan);
  plan.workspace_bytes = forward.workspace_bytes;
  if (problem.with_backward()) {
    const ops::OpPlan backward =
        ops::plan_attention_backward(shape, {problem.threads, problem.device});
    plan.saved_bytes = forward.saved_bytes;
    // Forward's scratch is gone by then, but so are the gradients that only backward allocates.
    const std::int64_t gradients = problem.q_bytes() + problem.k_bytes() + problem.v_bytes();
    plan.workspace_bytes = std::max(backward.workspace_bytes, forward.workspace_bytes - gradients);
  }
  return plan;
}

std::int64_t lse_bytes(const Problem& p) {
  return p.batch * p.heads * p.seqlen_q * (p.dtype == at::kDouble ? 8 : 4);
}

}  // namespace attnlab
