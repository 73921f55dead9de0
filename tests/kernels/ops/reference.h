// The operators' formulas in plain Torch operations, differentiable, and what tests of operators
// share. Nothing here uses kernels/.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "kernels/ops/ops.h"

namespace attnlab::testing {

struct Reference {
  at::Tensor out, weights, lse;
};

/// Softmax attention in the dtype of the inputs. `seqlens` (int64 `[batch]`) as in decoding.
Reference reference_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const ops::AttentionOptions& options,
                              const std::optional<at::Tensor>& seqlens = std::nullopt);

/// Linear attention through its N x N matrix.
at::Tensor reference_linear_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                      const ops::LinearAttentionOptions& options);

/// One test case of attention.
struct Case {
  std::string name;
  std::int64_t batch, heads, kv_heads, seqlen_q, seqlen_k, head_dim, head_dim_v;
  ops::AttentionOptions options = {};
  bool alibi = false;
};

struct Tensors {
  at::Tensor q, k, v;

  Tensors to(at::ScalarType dtype) const;
  /// Detached copies that ask for gradients.
  Tensors leaves() const;
};

/// Normal random tensors, the same for the same seed.
Tensors random_tensors(const Case& c, at::ScalarType dtype = at::kDouble, std::uint64_t seed = 0);
at::Tensor random_tensor(at::IntArrayRef sizes, at::ScalarType dtype, std::uint64_t seed);

/// Bound of |actual - expected| / max(1, |expected|) for sums in float32 (float64) of rounded
/// inputs.
double tolerance(at::ScalarType dtype);

/// Succeeds where all elements agree within `tolerance`; else names the first wrong one. Equal
/// infinities agree, NaN agrees with nothing.
::testing::AssertionResult close(const at::Tensor& actual, const at::Tensor& expected,
                                 double tolerance);

}  // namespace attnlab::testing
