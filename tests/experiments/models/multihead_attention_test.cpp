#include "experiments/models/multihead_attention.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>

#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "variants/api/registry.h"

namespace attnlab {
namespace {

constexpr std::int64_t kBatch = 2, kSeqlen = 11, kEmbed = 24, kHeads = 3;

std::unique_ptr<Variant> make_variant(const std::string& name,
                                      const std::map<std::string, OptionValue>& options = {}) {
  Registry registry;
  register_builtin_variants(registry);
  return registry.make(name, options);
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

constexpr AttentionOptions kAlibi{.bias = true, .positions = Positions::kAlibi};

// Slopes of three heads by the paper's rule 2^(-8 i / heads), and the dense formula.
at::Tensor alibi_by_hand(MultiheadAttention& module, const at::Tensor& x) {
  const at::Tensor wide = x.to(at::kDouble);
  const at::Tensor qkv =
      at::matmul(wide, module->in_proj_weight.to(at::kDouble).t()).view({kBatch, -1, 3, kEmbed});
  at::Tensor joined = at::zeros_like(wide);
  constexpr std::int64_t kDim = kEmbed / kHeads;
  for (std::int64_t head = 0; head < kHeads; ++head) {
    const auto part = [&](std::int64_t i) { return qkv.select(2, i).narrow(2, head * kDim, kDim); };
    at::Tensor scores = at::matmul(part(0), part(1).transpose(1, 2)) / std::sqrt(double{kDim});
    const double slope = std::pow(2.0, -8.0 * static_cast<double>(head + 1) / kHeads);
    for (std::int64_t i = 0; i < x.size(1); ++i) {
      for (std::int64_t j = 0; j < x.size(1); ++j) {
        scores.select(1, i).select(1, j).sub_(j > i ? std::numeric_limits<double>::infinity()
                                                    : slope * static_cast<double>(i - j));
      }
    }
    joined.narrow(2, head * kDim, kDim).copy_(at::matmul(at::softmax(scores, -1), part(2)));
  }
  return at::matmul(joined, module->out_proj->weight.to(at::kDouble).t());
}

TEST(MultiheadAttention, AlibiIsTheDenseFormulaForEveryVariantThatTakesIt) {
  const at::NoGradGuard no_grad;
  for (const std::string name : {"full", "flash", "sliding_window"}) {
    at::manual_seed(7);
    MultiheadAttention module(kEmbed, kHeads, make_variant(name), kAlibi);
    const at::Tensor x = data(8);
    const at::Tensor expected = alibi_by_hand(module, x);
    const at::Tensor out = module->forward(x, x, x, /*causal=*/true).out;
    EXPECT_LT((out - expected).abs().max().item<double>(), kTolerance) << name;
    module->to(at::kDouble);  // slopes stay float32, as the operators take them
    const at::Tensor wide = data(8).to(at::kDouble);
    EXPECT_LT((module->forward(wide, wide, wide, true).out - expected).abs().max().item<double>(),
              1e-7)
        << name;
  }
}

TEST(MultiheadAttention, AlibiIsRefusedByVariantsThatWouldIgnoreIt) {
  try {
    MultiheadAttention(kEmbed, kHeads, make_variant("linear"), kAlibi);
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("linear takes no slopes"), std::string::npos);
  }
}

TEST(MultiheadAttention, ParametersOfAVariantAreLearned) {
  MultiheadAttention module(kEmbed, kHeads,
                            make_variant("full", {{"score", std::string("additive")}}));
  const at::Tensor x = data(9);
  module->forward(x, x, x, /*causal=*/true).out.square().sum().backward();
  constexpr std::int64_t kDim = kEmbed / kHeads;
  const auto parameters = module->named_parameters(/*recurse=*/false);
  EXPECT_EQ(parameters["score_query"].sizes(), at::IntArrayRef({kHeads, kDim, kDim}));
  EXPECT_EQ(parameters["score_vector"].sizes(), at::IntArrayRef({kHeads, kDim}));
  for (const std::string name : {"score_query", "score_key", "score_vector"}) {
    ASSERT_TRUE(parameters[name].grad().defined()) << name;
    EXPECT_GT(parameters[name].grad().abs().max().item<double>(), 1e-4) << name;
  }
  module->to(at::kDouble);
  const at::Tensor wide = x.to(at::kDouble);
  EXPECT_EQ(module->forward(wide, wide, wide, true).out.scalar_type(), at::kDouble);
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
