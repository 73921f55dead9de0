// What autograd does around the operators: which inputs get gradients, what is refused.

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "tests/kernels/ops/reference.h"

namespace attnlab::testing {
namespace {

using at::Tensor;

const Case kCase{"", 1, 2, 1, 6, 6, 4, 4};

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

TEST(Autograd, OnlyInputsThatAskGetGradients) {
  const Tensors x = random_tensors(kCase);
  for (int which = 0; which < 3; ++which) {
    std::vector<Tensor> inputs = {x.q.clone(), x.k.clone(), x.v.clone()};
    inputs[which].requires_grad_();
    std::get<0>(ops::attention(inputs[0], inputs[1], inputs[2], {})).sum().backward();
    std::get<0>(ops::naive_attention(inputs[0], inputs[1], inputs[2], {})).sum().backward();
    ops::linear_attention(inputs[0], inputs[1], inputs[2], {}).sum().backward();
    std::get<0>(ops::decode_attention(inputs[0], inputs[1], inputs[2], {}, {})).sum().backward();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(inputs[i].grad().defined(), i == which);
  }
}

TEST(Autograd, LseIsNotDifferentiableAndWeightsAre) {
  const Tensors a = random_tensors(kCase).leaves();
  EXPECT_FALSE(std::get<1>(ops::attention(a.q, a.k, a.v, {})).requires_grad());
  EXPECT_FALSE(std::get<1>(ops::decode_attention(a.q, a.k, a.v, {}, {})).requires_grad());
  const Tensor weights = std::get<1>(ops::naive_attention(a.q, a.k, a.v, {.causal = true}));
  EXPECT_TRUE(weights.requires_grad());

  const Tensor grad = random_tensor(weights.sizes(), at::kDouble, 8);
  const auto actual = torch::autograd::grad({weights}, {a.q, a.k, a.v}, {grad}, {}, false, true);
  const Tensors r = random_tensors(kCase).leaves();
  const auto expected = torch::autograd::grad(
      {reference_attention(r.q, r.k, r.v, {.causal = true}).weights}, {r.q, r.k}, {grad});
  EXPECT_TRUE(close(actual[0], expected[0], 1e-12));
  EXPECT_TRUE(close(actual[1], expected[1], 1e-12));
  EXPECT_TRUE(at::equal(actual[2], at::zeros_like(a.v)));
}

TEST(Autograd, WithoutGradModeNothingIsRecorded) {
  const Tensors a = random_tensors(kCase).leaves();
  const at::NoGradGuard guard;
  EXPECT_FALSE(std::get<0>(ops::attention(a.q, a.k, a.v, {})).requires_grad());
}

TEST(Autograd, SecondDerivativesAreRefused) {
  const Tensors a = random_tensors(kCase).leaves();
  const std::vector<std::pair<std::string, Tensor>> results = {
      {"attention_backward", std::get<0>(ops::attention(a.q, a.k, a.v, {}))},
      {"naive_attention_backward", std::get<0>(ops::naive_attention(a.q, a.k, a.v, {}))},
      {"linear_attention_backward", ops::linear_attention(a.q, a.k, a.v, {})},
      {"decode_attention_backward", std::get<0>(ops::decode_attention(a.q, a.k, a.v, {}, {}))}};
  for (const auto& [name, out] : results) {
    const Tensor grad = torch::autograd::grad({out.square().sum()}, {a.q}, {}, true, true)[0];
    const std::string message = message_of([&, g = grad] { g.sum().backward(); });
    EXPECT_NE(message.find("[" + name + "] second derivatives are not implemented"),
              std::string::npos)
        << message;
  }
}

TEST(Autograd, SlopesThatAskForAGradientAreRefused) {
  const Tensors x = random_tensors(kCase);
  const ops::AttentionOptions options{.alibi_slopes = at::ones({2}).requires_grad_()};
  for (const bool naive : {false, true}) {
    const std::string message = message_of([&] {
      naive ? ops::naive_attention(x.q, x.k, x.v, options) : ops::attention(x.q, x.k, x.v, options);
    });
    EXPECT_NE(message.find("alibi_slopes requires a gradient"), std::string::npos) << message;
  }
}

TEST(Autograd, ChangingASavedTensorIsNoticed) {
  const Tensors a = random_tensors(kCase).leaves();
  const auto [out, weights] = ops::naive_attention(a.q, a.k, a.v, {});
  weights.detach().zero_();
  const std::string message = message_of([&, o = out] { o.sum().backward(); });
  EXPECT_NE(message.find("modified by an inplace operation"), std::string::npos) << message;
}

}  // namespace
}  // namespace attnlab::testing
