// The tensors of one linear attention problem in host memory, and comparisons of what a kernel
// wrote with the formulas. Backends' tests derive from it and run their kernels.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/host_tensor.h"
#include "tests/support/reference_attention.h"
#include "tests/support/tolerance.h"

namespace attnlab::testing {

struct LinearTensors {
  AttentionShape shape;
  LinearOptions options;
  HostTensor q, k, v, out, grad_out, grad_q, grad_k, grad_v, grad_decay;
  std::vector<float> decay;

  explicit LinearTensors(const AttentionShape& s, bool causal = true, bool normalize = true,
                         FeatureMapKind kind = FeatureMapKind::kElu,
                         Layout layout = Layout::kHeadsFirst)
      : shape(s),
        q(s.batch, s.heads, s.seqlen_q, s.head_dim, s.dtype, layout),
        k(s.batch, s.kv_heads, s.seqlen_k, s.head_dim, s.dtype, layout),
        v(s.batch, s.kv_heads, s.seqlen_k, s.head_dim_v, s.dtype, layout),
        out(s.batch, s.heads, s.seqlen_q, s.head_dim_v, s.dtype, layout),
        grad_out(s.batch, s.heads, s.seqlen_q, s.head_dim_v, s.dtype, layout),
        grad_q(s.batch, s.heads, s.seqlen_q, s.head_dim, s.dtype, layout),
        grad_k(s.batch, s.kv_heads, s.seqlen_k, s.head_dim, s.dtype, layout),
        grad_v(s.batch, s.kv_heads, s.seqlen_k, s.head_dim_v, s.dtype, layout),
        grad_decay(s.batch, s.heads, s.seqlen_q, 1, DType::kFloat32) {
    options = {kind, causal, normalize};
    q.fill_normal(1, 0.5);
    k.fill_normal(2, 0.5);
    v.fill_normal(3);
    grad_out.fill_normal(4);
  }
  LinearTensors(const LinearTensors&) = delete;
  LinearTensors& operator=(const LinearTensors&) = delete;

  /// Per token, or one value per head.
  void use_decay(bool per_token) {
    const std::int64_t length = per_token ? shape.seqlen_k : 1;
    for (std::int64_t i = 0; i < shape.batch * shape.heads * length; ++i) {
      decay.push_back(-0.01f * static_cast<float>(1 + i % 7));
    }
    options.log_decay = decay.data();
    options.decay_batch_stride = shape.heads * length;
    options.decay_head_stride = length;
    options.decay_token_stride = per_token ? 1 : 0;
  }

  LinearAttentionArgs forward_args() const {
    return {shape, options, q.view(), k.view(), v.view(), out.view()};
  }
  LinearAttentionBackwardArgs backward_args() const {
    return {shape,
            options,
            q.view(),
            k.view(),
            v.view(),
            out.view(),
            grad_out.view(),
            grad_q.view(),
            grad_k.view(),
            grad_v.view(),
            options.log_decay != nullptr ? grad_decay.view() : TensorView{}};
  }

  void poison_results() {
    for (HostTensor* tensor : {&out, &grad_q, &grad_k, &grad_v, &grad_decay}) tensor->poison();
  }

  std::vector<std::vector<double>> results() const {
    return {out.values(), grad_q.values(), grad_k.values(), grad_v.values(), grad_decay.values()};
  }

  /// All results against float64.
  void compare() const {
    const auto expected = reference_linear_attention(shape, options, q, k, v);
    // A sum over d products of features inside each of the N weights.
    const std::int64_t terms = shape.seqlen_k * shape.head_dim;
    EXPECT_TRUE(
        all_close(out.values(), expected, tolerance(shape.dtype, magnitude_of(expected), terms)))
        << "out " << describe();
    const ReferenceGradients grads = reference_linear_gradients(shape, options, q, k, v, grad_out);
    const auto close = [&](const HostTensor& actual, const std::vector<double>& reference) {
      return all_close(
          actual.values(), reference,
          gradient_tolerance(shape.dtype, magnitude_of(reference), terms, shape.head_dim_v));
    };
    EXPECT_TRUE(close(grad_q, grads.grad_q)) << "grad_q " << describe();
    EXPECT_TRUE(close(grad_k, grads.grad_k)) << "grad_k " << describe();
    EXPECT_TRUE(close(grad_v, grads.grad_v)) << "grad_v " << describe();
    if (options.log_decay == nullptr) return;
    // Differences of sums over the sequence: as large as the sums themselves.
    const double allowed = tolerance(DType::kFloat32, magnitude_of(grads.grad_log_decay), terms) +
                           gradient_tolerance(shape.dtype, magnitude_of(grads.grad_log_decay),
                                              terms, shape.head_dim_v * shape.seqlen_q);
    EXPECT_TRUE(all_close(grad_decay.values(), grads.grad_log_decay, allowed))
        << "grad_log_decay " << describe();
  }

  std::string describe() const {
    return std::string(dtype_name(shape.dtype)) + " seqlen " + std::to_string(shape.seqlen_q) +
           "/" + std::to_string(shape.seqlen_k) + " dim " + std::to_string(shape.head_dim) + "/" +
           std::to_string(shape.head_dim_v) + (options.causal ? " causal" : " full") +
           (options.normalize ? " normalized" : "") +
           (options.log_decay != nullptr ? " decay" : "");
  }
};

}  // namespace attnlab::testing
