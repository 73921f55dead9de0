// Attention with additive scores (Bahdanau et al. 2014, arXiv 1409.0473), which are no dot
// products: in Torch operations, with head_dim numbers in memory for every pair of query and key.
#pragma once

#include "variants/api/variant.h"

namespace attnlab {

/// out `[batch, heads, seqlen_q, head_dim_v]` and weights `[batch, heads, seqlen_q, seqlen_k]`,
/// differentiable. What a masked key or value holds reaches no query, NaN and Inf included.
Outputs additive_attention(const Inputs& inputs);

Plan plan_additive_attention(const Problem& problem);

}  // namespace attnlab
