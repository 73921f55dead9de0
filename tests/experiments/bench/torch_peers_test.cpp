#include "experiments/bench/torch_peers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/core/error.h"

namespace attnlab::bench {
namespace {

at::Tensor normal(std::int64_t heads, std::int64_t rows, std::int64_t dim) {
  return at::randn({1, heads, rows, dim}, at::kDouble);
}

/// Token by token, from the definition in kernels/core/linear_args.h.
at::Tensor linear_by_tokens(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto phi = [](double x) { return x > 0 ? x + 1 : std::exp(x); };
  const auto a = q.accessor<double, 4>(), b = k.accessor<double, 4>(), c = v.accessor<double, 4>();
  at::Tensor out = at::zeros_like(v);
  auto o = out.accessor<double, 4>();
  for (std::int64_t h = 0; h < q.size(1); ++h) {
    for (std::int64_t t = 0; t < q.size(2); ++t) {
      double total = 0;
      for (std::int64_t s = 0; s <= t; ++s) {
        double weight = 0;
        for (std::int64_t i = 0; i < q.size(3); ++i)
          weight += phi(a[0][h][t][i]) * phi(b[0][h][s][i]);
        total += weight;
        for (std::int64_t j = 0; j < v.size(3); ++j) o[0][h][t][j] += weight * c[0][h][s][j];
      }
      for (std::int64_t j = 0; j < v.size(3); ++j) o[0][h][t][j] /= total;
    }
  }
  return out;
}

TEST(TorchPeers, ChunkedLinearMatchesItsDefinition) {
  const at::Tensor q = normal(2, 24, 5), k = normal(2, 24, 5), v = normal(2, 24, 5);
  const at::Tensor expected = linear_by_tokens(q, k, v);
  for (const std::int64_t chunk : {1, 4, 8, 24}) {
    EXPECT_TRUE(at::allclose(linear_looped(q, k, v, chunk), expected)) << chunk;
    EXPECT_TRUE(at::allclose(linear_batched(q, k, v, chunk), expected)) << chunk;
  }
}

TEST(TorchPeers, ChunksMustDivideTheLength) {
  const at::Tensor x = normal(1, 10, 4);
  EXPECT_THROW(linear_looped(x, x, x, 4), ConfigError);
  EXPECT_THROW(linear_batched(x, x, x, 4), ConfigError);
}

TEST(TorchPeers, WindowMaskCountsTheOwnKey) {
  const at::Tensor mask = window_mask(5, 2);
  for (std::int64_t q = 0; q < 5; ++q) {
    for (std::int64_t k = 0; k < 5; ++k) {
      EXPECT_EQ(mask[q][k].item<bool>(), k == q || k == q - 1) << q << ", " << k;
    }
  }
}

TEST(TorchPeers, GroupedRowsAreTheSameAttention) {
  const at::Tensor q = normal(6, 1, 8), k = normal(2, 9, 8), v = normal(2, 9, 8);
  const at::Tensor expected =
      plain_attention(q, k.repeat_interleave(3, 1), v.repeat_interleave(3, 1));
  EXPECT_TRUE(at::allclose(grouped_rows_attention(q, k, v), expected));
}

TEST(TorchPeers, PlainAttentionByHand) {
  // One query sees two keys with scores 0 and ln 3 (head_dim 1): weights 1/4 and 3/4.
  const at::Tensor q = at::ones({1, 1, 1, 1}, at::kDouble);
  at::Tensor k = at::zeros({1, 1, 2, 1}, at::kDouble), v = k.clone();
  k[0][0][1][0] = std::log(3.0);
  v[0][0][1][0] = 8.0;
  EXPECT_NEAR(plain_attention(q, k, v).item<double>(), 6.0, 1e-12);
}

}  // namespace
}  // namespace attnlab::bench
