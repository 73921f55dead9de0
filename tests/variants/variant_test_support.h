// Small data for tests of variants.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "variants/api/registry.h"

namespace attnlab::test {

inline Registry builtin_registry() {
  Registry registry;
  register_builtin_variants(registry);
  return registry;
}

inline std::unique_ptr<Variant> make(const std::string& name,
                                     const std::map<std::string, OptionValue>& options = {}) {
  return builtin_registry().make(name, options);
}

inline at::Tensor normal(at::IntArrayRef shape, std::uint64_t seed,
                         at::ScalarType dtype = at::kFloat) {
  return at::randn(shape, at::detail::createCPUGenerator(seed),
                   at::TensorOptions().dtype(at::kDouble))
      .to(dtype);
}

/// q, k, v of N(0, 1), `[batch, heads, seqlen, head_dim]`.
inline Inputs normal_inputs(std::int64_t batch, std::int64_t heads, std::int64_t seqlen,
                            std::int64_t head_dim, bool causal, std::uint64_t seed = 1) {
  Inputs inputs;
  inputs.q = normal({batch, heads, seqlen, head_dim}, seed);
  inputs.k = normal({batch, heads, seqlen, head_dim}, seed + 1);
  inputs.v = normal({batch, heads, seqlen, head_dim}, seed + 2);
  inputs.causal = causal;
  return inputs;
}

/// A column `[n, 1]`.
inline at::Tensor column(const std::vector<float>& values) {
  return at::tensor(values).view({static_cast<std::int64_t>(values.size()), 1});
}

/// Compares a tensor with values computed by hand, element by element in order.
inline void expect_values(const at::Tensor& tensor, const std::vector<double>& expected,
                          double tolerance = 1e-6) {
  const at::Tensor flat = tensor.to(at::kDouble).flatten().contiguous();
  ASSERT_EQ(flat.numel(), static_cast<std::int64_t>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(flat.data_ptr<double>()[i], expected[i], tolerance) << "element " << i;
  }
}

inline double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace attnlab::test
