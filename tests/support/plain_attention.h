// Softmax attention and its gradients by the formula, row by row with the weights of a row stored,
// in a chosen precision: in a wider type it is the reference of large shapes; in the tensors' own
// dtype it is what a program without a special kernel computes, whose error is the yardstick of a
// kernel's error. Fast enough for lengths of some thousand; shares no code with the kernels.
#pragma once

#include <vector>

#include "tests/support/host_tensor.h"

namespace attnlab::testing {

/// Outputs in order [batch, heads, seqlen, dim].
struct PlainResult {
  std::vector<double> out, grad_q, grad_k, grad_v;
};

struct PlainInputs {
  AttentionShape shape;
  MaskOptions mask;
  ScoreOptions score;
  const HostTensor *q, *k, *v, *grad_out;
};

/// Nothing is rounded to the dtype; sums in double, for float64 tensors in long double.
PlainResult wide_attention(const PlainInputs& inputs);

/// Every matrix (scores, weights, their gradients) is rounded to the dtype of the tensors, as each
/// operation of a tensor library would; sums within an operation in float, or double for float64,
/// in blocks as libraries do.
PlainResult plain_attention(const PlainInputs& inputs);

}  // namespace attnlab::testing
