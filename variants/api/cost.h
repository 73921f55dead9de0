// FLOP and byte counts by the conventions of the field, shared by the plans of all variants.
#pragma once

#include "kernels/core/attention_args.h"
#include "kernels/core/mask.h"
#include "variants/api/problem.h"

namespace attnlab {

/// The shape that kernels are asked for.
AttentionShape attention_shape(const Problem& problem);

/// The problem's own mask (causal or none), with a window where one is given.
Mask problem_mask(const Problem& problem, std::int64_t window_left = -1,
                  std::int64_t window_right = -1);

/// How much more a direction costs than forward alone: backward 2.5 (five products where forward
/// has two), both 3.5. Recomputation inside a backward pass is not credited.
double direction_factor(Direction direction);

/// 2 * batch * heads * visible pairs * (head_dim + head_dim_v), times the direction's factor.
double softmax_attention_flops(const Problem& problem, const Mask& mask);

/// Inputs, outputs and least traffic of a problem whose outputs are out and an lse of `lse_bytes`:
/// fills input_bytes, output_bytes and bytes of a plan. With backward: the incoming gradient is an
/// input; dq, dk, dv are outputs.
void count_tensors(const Problem& problem, std::int64_t lse_bytes, Plan& plan);

/// The plan of a variant that runs the operator attnlab::attention under `mask`.
Plan plan_tiled_attention(const Problem& problem, const Mask& mask);

/// Bytes of `[batch, heads, seqlen_q]` log-sum-exp values: float32, float64 for float64 problems.
std::int64_t lse_bytes(const Problem& problem);

}  // namespace attnlab
