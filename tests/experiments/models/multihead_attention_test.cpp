#include "experiments/models/multihead_attention.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>

#include <limits>

#include "kernels/core/error.h"
#include "variants/api/registry.h"

namespace attnlab {
namespace {

constexpr std::int64_t kBatch = 2, kSeqlen = 11, kEmbed = 24, kHeads = 3;

std::unique_ptr<Variant> make_variant(const std::string& name) {
  Registry registry;
  register_builtin_variants(registry);
  return registry.make(name);
}

struct Pair {
  MultiheadAttention ours{nullptr};
  torch::nn::MultiheadAttention theirs{nullptr};
};

// Torch's module and ours with the same weights, biases included.
Pair modules_with_same_weights(const std::string& variant) {
  at::manual_seed(7);
  Pair pair;
  pair.ours = MultiheadAttention(kEmbed, kHeads, make_variant(variant));
  pair.theirs = torch::nn::MultiheadAttention(kEmbed, kHeads);
  at::NoGradGuard no_grad;
  pair.ours->in_proj_bias.normal_();
  pair.ours->out_proj->bias.normal_();
  pair.theirs->in_proj_weight.copy_(pair.ours->in_proj_weight);
  pair.theirs->in_proj_bias.copy_(pair.ours->in_proj_bias);
  pair.theirs->out_proj->weight.copy_(pair.ours->out_proj->weight);
  pair.theirs->out_proj->bias.copy_(pair.ours->out_proj->bias);
  return pair;
}

at::Tensor data(std::uint64_t seed) {
  return at::randn({kBatch, kSeqlen, kEmbed}, at::detail::createCPUGenerator(seed));
}

// Sums of kEmbed products of order one, twice: a few hundred float32 roundings at most.
constexpr double kTolerance = 1e-5;

TEST(MultiheadAttention, FullAgreesWithTorchNnMultiheadAttention) {
  const auto [ours, theirs] = modules_with_same_weights("full");
  const at::Tensor q = data(1), k = data(2), v = data(3);
  const auto mine = ours.ptr()->forward(q, k, v);
  auto their_module = theirs;
  // Torch's module takes `[seqlen, batch, embed_dim]`.
  const auto [out, weights] =
      their_module->forward(q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1));
  EXPECT_LT((mine.out - out.transpose(0, 1)).abs().max().item<double>(), kTolerance);
  ASSERT_TRUE(mine.weights.has_value());
  EXPECT_LT((*mine.weights - weights).abs().max().item<double>(), kTolerance);
}

TEST(MultiheadAttention, CausalFullAgreesWithTorchUnderTheSameMask) {
  const auto [ours, theirs] = modules_with_same_weights("full");
  const at::Tensor x = data(4);
  // The C++ module adds its mask to the scores, also a boolean one: -inf hides.
  const at::Tensor hidden =
      at::full({kSeqlen, kSeqlen}, -std::numeric_limits<float>::infinity()).triu(1);
  auto their_module = theirs;
  const at::Tensor xt = x.transpose(0, 1);
  const auto [out, weights] = their_module->forward(xt, xt, xt, {}, true, hidden);
  const auto mine = ours.ptr()->forward(x, x, x, /*causal=*/true);
  EXPECT_LT((mine.out - out.transpose(0, 1)).abs().max().item<double>(), kTolerance);
  EXPECT_LT((*mine.weights - weights).abs().max().item<double>(), kTolerance);
}

TEST(MultiheadAttention, ParameterGradientsAgreeWithTorch) {
  const auto [ours, theirs] = modules_with_same_weights("full");
  const at::Tensor x = data(5);
  ours.ptr()->forward(x, x, x).out.square().sum().backward();
  auto their_module = theirs;
  const at::Tensor xt = x.transpose(0, 1);
  std::get<0>(their_module->forward(xt, xt, xt)).square().sum().backward();
  const at::Tensor mine = ours.ptr()->in_proj_weight.grad();
  const at::Tensor expected = their_module->in_proj_weight.grad();
  EXPECT_LT(((mine - expected).norm() / expected.norm()).item<double>(), kTolerance);
}

TEST(MultiheadAttention, ExactVariantsAgreeWithEachOther) {
  const at::Tensor x = data(6);
  const auto full = modules_with_same_weights("full").ours->forward(x, x, x, true);
  const auto flash = modules_with_same_weights("flash").ours->forward(x, x, x, true);
  EXPECT_LT((full.out - flash.out).abs().max().item<double>(), kTolerance);
  EXPECT_FALSE(flash.weights.has_value());
}

TEST(MultiheadAttention, RefusesHeadsThatDoNotDivide) {
  try {
    MultiheadAttention(10, 3, make_variant("full"));
    FAIL() << "10 / 3 was accepted";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("embed_dim 10"), std::string::npos);
  }
}

}  // namespace
}  // namespace attnlab
