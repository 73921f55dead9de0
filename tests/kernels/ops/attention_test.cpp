// attention and naive_attention against the formula, forward and backward.

#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "tests/kernels/ops/reference.h"

namespace attnlab::testing {
namespace {

using at::Tensor;
using ops::AttentionOptions;

std::vector<Case> cases() {
  return {
      {"plain", 2, 3, 3, 37, 37, 16, 16},
      {"one_token", 1, 1, 1, 1, 1, 1, 1},
      {"causal", 1, 2, 2, 70, 70, 32, 32, {.causal = true}},
      {"gqa_values_narrower", 2, 6, 2, 33, 33, 24, 8, {.causal = true}},
      {"mqa_cross_short", 1, 4, 1, 5, 41, 20, 28, {.causal = true}},
      {"cross_long_rows_without_keys", 2, 2, 2, 45, 19, 8, 8, {.causal = true}},
      {"window", 1, 2, 1, 67, 67, 16, 16, {.window_left = 9, .window_right = 3}},
      {"window_left_causal", 1, 2, 2, 50, 61, 16, 16, {.causal = true, .window_left = 7}},
      {"causal_wins", 1, 1, 1, 30, 30, 8, 8, {.causal = true, .window_right = 5}},
      {"window_right_only", 1, 1, 1, 30, 22, 8, 8, {.window_right = 0}},
      {"softcap", 1, 2, 2, 40, 40, 16, 16, {.softcap = 1.5}},
      {"scale", 1, 2, 2, 20, 30, 16, 16, {.scale = -0.3}},
      {"alibi", 2, 4, 2, 31, 45, 16, 16, {.causal = true}, true},
      {"everything",
       2,
       4,
       2,
       40,
       52,
       24,
       40,
       {.scale = 0.4, .causal = true, .window_left = 20, .softcap = 2.0},
       true},
      {"widest_head", 1, 1, 1, 12, 12, 256, 255},
  };
}

AttentionOptions options_of(const Case& c, bool per_item) {
  AttentionOptions options = c.options;
  if (c.alibi) {
    options.alibi_slopes = per_item ? random_tensor({c.batch, c.heads}, at::kFloat, 9).abs()
                                    : random_tensor({c.heads}, at::kFloat, 9).abs();
  }
  return options;
}

class Attention : public ::testing::TestWithParam<Case> {};

TEST_P(Attention, OutAndLseEqualTheFormulaInEveryDtype) {
  const Case& c = GetParam();
  const AttentionOptions options = options_of(c, false);
  for (at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf}) {
    SCOPED_TRACE(dtype);
    const Tensors x = random_tensors(c, dtype);
    const Tensors wide = x.to(at::kDouble);
    const Reference expected = reference_attention(wide.q, wide.k, wide.v, options);
    const auto [out, lse] = ops::attention(x.q, x.k, x.v, options);
    EXPECT_EQ(out.scalar_type(), dtype);
    EXPECT_EQ(lse.scalar_type(), dtype == at::kDouble ? at::kDouble : at::kFloat);
    EXPECT_TRUE(close(out, expected.out, tolerance(dtype)));
    // lse is never rounded to a narrow dtype.
    EXPECT_TRUE(close(lse, expected.lse, tolerance(lse.scalar_type())));

    const auto [naive_out, weights] = ops::naive_attention(x.q, x.k, x.v, options);
    EXPECT_EQ(weights.scalar_type(), dtype);
    if (dtype == at::kDouble || dtype == at::kFloat) {
      EXPECT_TRUE(close(naive_out, expected.out, tolerance(dtype)));
      EXPECT_TRUE(close(weights, expected.weights, tolerance(dtype)));
    } else {
      // Scores are stored in the narrow dtype, so they are as coarse as their size.
      const double coarse = 4 * tolerance(dtype);
      EXPECT_TRUE(close(naive_out, expected.out, coarse));
      EXPECT_TRUE(close(weights, expected.weights, coarse));
    }
  }
}

TEST_P(Attention, GradientsEqualThoseOfTheFormula) {
  const Case& c = GetParam();
  const AttentionOptions options = options_of(c, true);
  const Tensors x = random_tensors(c);
  const Tensor grad_out =
      random_tensor({c.batch, c.heads, c.seqlen_q, c.head_dim_v}, at::kDouble, 5);
  const Tensor grad_weights =
      random_tensor({c.batch, c.heads, c.seqlen_q, c.seqlen_k}, at::kDouble, 6);

  const Tensors r = x.leaves();
  const Reference reference = reference_attention(r.q, r.k, r.v, options);
  const auto expected =
      torch::autograd::grad({reference.out}, {r.q, r.k, r.v}, {grad_out}, /*retain_graph=*/true);
  const auto expected_both = torch::autograd::grad({reference.out, reference.weights},
                                                   {r.q, r.k, r.v}, {grad_out, grad_weights});

  const Tensors a = x.leaves();
  const Tensor out = std::get<0>(ops::attention(a.q, a.k, a.v, options));
  const auto flash = torch::autograd::grad({out}, {a.q, a.k, a.v}, {grad_out});
  const auto [naive_out, weights] = ops::naive_attention(a.q, a.k, a.v, options);
  const auto naive = torch::autograd::grad({naive_out}, {a.q, a.k, a.v}, {grad_out}, true);
  const auto both =
      torch::autograd::grad({naive_out, weights}, {a.q, a.k, a.v}, {grad_out, grad_weights});
  for (std::size_t i = 0; i < 3; ++i) {
    SCOPED_TRACE(i);
    EXPECT_TRUE(close(flash[i], expected[i], 1e-11));
    EXPECT_TRUE(close(naive[i], expected[i], 1e-11));
    EXPECT_TRUE(close(both[i], expected_both[i], 1e-11));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Attention, ::testing::ValuesIn(cases()),
                         [](const auto& c) { return c.param.name; });

TEST(AttentionStrides, ViewsGiveTheSameBitsAsContiguousTensors) {
  const Case c{"", 2, 4, 2, 23, 31, 16, 12, {.causal = true}};
  const Tensors x = random_tensors(c, at::kFloat);
  const auto token_major = [](const Tensor& t) {
    return t.transpose(1, 2).contiguous().transpose(1, 2);
  };
  const auto column_major = [](const Tensor& t) {
    return t.transpose(2, 3).contiguous().transpose(2, 3);
  };
  const auto padded = [](const Tensor& t) {
    Tensor wide = at::full({t.size(0), t.size(1), t.size(2), t.size(3) + 5}, 7.0, t.options());
    Tensor view = wide.narrow(3, 2, t.size(3));
    view.copy_(t);
    return view;
  };
  const auto [out, lse] = ops::attention(x.q, x.k, x.v, c.options);
  const auto [naive_out, weights] = ops::naive_attention(x.q, x.k, x.v, c.options);
  for (const auto& view :
       std::vector<std::function<Tensor(const Tensor&)>>{token_major, column_major, padded}) {
    const auto [o, l] = ops::attention(view(x.q), view(x.k), view(x.v), c.options);
    EXPECT_TRUE(at::equal(o, out));
    EXPECT_TRUE(at::equal(l, lse));
    const auto [n, w] = ops::naive_attention(view(x.q), view(x.k), view(x.v), c.options);
    EXPECT_TRUE(close(n, naive_out, 1e-6));
    EXPECT_TRUE(close(w, weights, 1e-6));
  }
}

TEST(AttentionStrides, ExpandedInputsAndGradients) {
  const Tensor q = random_tensor({1, 1, 9, 8}, at::kDouble, 1).expand({2, 4, 9, 8});
  const Tensor k = random_tensor({1, 2, 11, 8}, at::kDouble, 2).expand({2, 2, 11, 8});
  const Tensor v = random_tensor({2, 2, 11, 1}, at::kDouble, 3).expand({2, 2, 11, 6});
  const Reference expected = reference_attention(q, k, v, {});
  EXPECT_TRUE(close(std::get<0>(ops::attention(q, k, v, {})), expected.out, 1e-12));
  EXPECT_TRUE(close(std::get<0>(ops::naive_attention(q, k, v, {})), expected.out, 1e-12));

  // sum() hands back a gradient with all strides 0.
  const Tensors r = Tensors{q, k, v}.leaves();
  reference_attention(r.q, r.k, r.v, {}).out.sum().backward();
  for (const bool naive : {false, true}) {
    const Tensors a = Tensors{q, k, v}.leaves();
    const auto result =
        naive ? ops::naive_attention(a.q, a.k, a.v, {}) : ops::attention(a.q, a.k, a.v, {});
    std::get<0>(result).sum().backward();
    EXPECT_TRUE(close(a.q.grad(), r.q.grad(), 1e-11));
    EXPECT_TRUE(close(a.k.grad(), r.k.grad(), 1e-11));
    EXPECT_TRUE(close(a.v.grad(), r.v.grad(), 1e-11));
  }
}

TEST(AttentionEmpty, SizesOfZeroGiveZerosAndNoKeysMinusInfinity) {
  struct Sizes {
    std::int64_t batch, seqlen_q, seqlen_k;
  };
  for (const Sizes s : {Sizes{0, 3, 4}, Sizes{2, 0, 4}, Sizes{2, 3, 0}, Sizes{0, 0, 0}}) {
    const Case c{"", s.batch, 2, 1, s.seqlen_q, s.seqlen_k, 4, 5};
    const Tensors x = random_tensors(c).leaves();
    const auto [out, lse] = ops::attention(x.q, x.k, x.v, {});
    EXPECT_EQ(out.sizes(), at::IntArrayRef({s.batch, 2, s.seqlen_q, 5}));
    EXPECT_TRUE(at::equal(out, at::zeros_like(out)));
    EXPECT_TRUE(at::isneginf(lse).all().item<bool>());
    const auto [naive_out, weights] = ops::naive_attention(x.q, x.k, x.v, {});
    EXPECT_TRUE(at::equal(naive_out, at::zeros_like(out)));
    EXPECT_EQ(weights.sizes(), at::IntArrayRef({s.batch, 2, s.seqlen_q, s.seqlen_k}));
    (out.sum() + naive_out.sum()).backward();
    for (const Tensor& t : {x.q, x.k, x.v}) EXPECT_TRUE(at::equal(t.grad(), at::zeros_like(t)));
  }
}

}  // namespace
}  // namespace attnlab::testing
