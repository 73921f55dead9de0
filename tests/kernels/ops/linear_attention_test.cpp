#include <torch/csrc/autograd/autograd.h>

#include "tests/kernels/ops/reference.h"

namespace attnlab::testing {
namespace {

using at::Tensor;
using ops::LinearAttentionOptions;

struct LinearCase {
  std::string name;
  Case sizes;
  LinearAttentionOptions options;
  int decay_rank = 0;  // 0 = none
};

std::vector<LinearCase> cases() {
  const Case self{"", 2, 4, 2, 75, 75, 12, 20};
  const Case cross{"", 1, 2, 1, 20, 45, 16, 8};
  return {
      {"elu", self, {}},
      {"relu", self, {.feature_map = "relu"}},
      {"identity_unnormalised", self, {.feature_map = "identity", .normalize = false}},
      {"not_causal", self, {.causal = false}},
      {"cross", cross, {.causal = false}},
      {"cross_unnormalised", cross, {.feature_map = "relu", .causal = false, .normalize = false}},
      {"decay_per_head", self, {}, 2},
      {"decay_per_token", self, {}, 3},
      {"retention", self, {.feature_map = "identity", .normalize = false}, 2},
      {"one_token", {"", 1, 1, 1, 1, 1, 1, 1}, {}, 3},
  };
}

std::optional<Tensor> decay_of(const LinearCase& c) {
  if (c.decay_rank == 0) return std::nullopt;
  std::vector<std::int64_t> sizes = {c.sizes.batch, c.sizes.heads, c.sizes.seqlen_q};
  sizes.resize(c.decay_rank);
  return random_tensor(sizes, at::kFloat, 11).abs() * -0.2;
}

class LinearAttention : public ::testing::TestWithParam<LinearCase> {};

TEST_P(LinearAttention, EqualsTheFormulaInEveryDtype) {
  LinearAttentionOptions options = GetParam().options;
  options.log_decay = decay_of(GetParam());
  for (at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf}) {
    SCOPED_TRACE(dtype);
    const Tensors x = random_tensors(GetParam().sizes, dtype);
    const Tensors wide = x.to(at::kDouble);
    const Tensor expected = reference_linear_attention(wide.q, wide.k, wide.v, options);
    const Tensor out = ops::linear_attention(x.q, x.k, x.v, options);
    EXPECT_EQ(out.scalar_type(), dtype);
    // Sums of up to 75 signed products: their size, not the result's, sets the error.
    EXPECT_TRUE(close(out, expected, 10 * tolerance(dtype)));
  }
}

TEST_P(LinearAttention, GradientsEqualThoseOfTheFormula) {
  const LinearCase& c = GetParam();
  const Tensor grad_out = random_tensor(
      {c.sizes.batch, c.sizes.heads, c.sizes.seqlen_q, c.sizes.head_dim_v}, at::kDouble, 5);
  const auto gradients = [&](auto&& attention) {
    const Tensors x = random_tensors(c.sizes).leaves();
    LinearAttentionOptions options = c.options;
    options.log_decay = decay_of(c);
    torch::autograd::variable_list inputs = {x.q, x.k, x.v};
    if (options.log_decay) {
      options.log_decay->requires_grad_();
      inputs.push_back(*options.log_decay);
    }
    return torch::autograd::grad({attention(x.q, x.k, x.v, options)}, inputs, {grad_out});
  };
  const auto expected = gradients(reference_linear_attention);
  const auto actual = gradients(ops::linear_attention);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    SCOPED_TRACE(i);
    // log_decay and its gradient are float32 whatever the dtype of q.
    EXPECT_TRUE(close(actual[i], expected[i], i < 3 ? 1e-10 : 1e-4));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, LinearAttention, ::testing::ValuesIn(cases()),
                         [](const auto& c) { return c.param.name; });

TEST(LinearAttention, RowsWithDenominatorZeroAreZero) {
  // relu makes all features 0.
  const Tensor q = -at::ones({1, 1, 4, 3}, at::kDouble);
  const Tensor k = at::ones({1, 1, 4, 3}, at::kDouble);
  const Tensor out = ops::linear_attention(q, k, k, {.feature_map = "relu"});
  EXPECT_TRUE(at::equal(out, at::zeros_like(out)));
}

TEST(LinearAttention, EmptySizes) {
  for (const bool no_tokens : {false, true}) {
    const std::int64_t n = no_tokens ? 0 : 4;
    const Case c{"", no_tokens ? 2 : 0, 2, 1, n, n, 4, 5};
    const Tensors x = random_tensors(c).leaves();
    const Tensor out = ops::linear_attention(x.q, x.k, x.v, {});
    EXPECT_EQ(out.sizes(), at::IntArrayRef({c.batch, 2, n, 5}));
    out.sum().backward();
    EXPECT_EQ(x.k.grad().sizes(), x.k.sizes());
  }
  const Tensor q = at::ones({1, 1, 3, 2});
  const Tensor none = at::ones({1, 1, 0, 2});
  const Tensor out = ops::linear_attention(q, none, none, {.causal = false});
  EXPECT_TRUE(at::equal(out, at::zeros({1, 1, 3, 2})));
}

TEST(LinearAttention, LaterTokensDoNotReachEarlierOnes) {
  const Case c{"", 1, 2, 1, 100, 100, 8, 8};
  const Tensors clean = random_tensors(c, at::kFloat);
  const Tensors dirty{clean.q, clean.k.clone(), clean.v.clone()};
  dirty.k.narrow(2, 37, 63).fill_(NAN);
  dirty.v.narrow(2, 37, 63).fill_(NAN);
  const Tensor out = ops::linear_attention(clean.q, clean.k, clean.v, {});
  const Tensor out2 = ops::linear_attention(dirty.q, dirty.k, dirty.v, {});
  EXPECT_TRUE(at::equal(out.narrow(2, 0, 37), out2.narrow(2, 0, 37)));
}

}  // namespace
}  // namespace attnlab::testing
