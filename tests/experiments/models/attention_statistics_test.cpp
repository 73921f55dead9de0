#include "experiments/models/attention_statistics.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "experiments/models/multihead_attention.h"
#include "tests/experiments/models/tiny_model.h"

namespace attnlab {
namespace {

std::unique_ptr<Variant> make(const std::string &name,
                              const std::map<std::string, OptionValue> &options = {}) {
  Registry registry;
  register_builtin_variants(registry);
  return registry.make(name, options);
}

Inputs random_inputs(std::int64_t batch, std::int64_t heads, std::int64_t seqlen) {
  const auto draw = [&](std::uint64_t seed) {
    return at::randn({batch, heads, seqlen, 4}, at::detail::createCPUGenerator(seed), at::kFloat);
  };
  return {.q = draw(1), .k = draw(2), .v = draw(3), .causal = true};
}

TEST(AttentionStatistics, TwoKeysByHand) {
  // The second query scores 0 and ln 3, times scale 1: weights 1/4 and 3/4.
  Inputs inputs{.q = at::zeros({1, 1, 2, 1}),
                .k = at::zeros({1, 1, 2, 1}),
                .v = at::zeros({1, 1, 2, 1}),
                .causal = true,
                .scale = 1.0};
  inputs.q.fill_(1);
  inputs.k[0][0][1][0] = std::log(3.0);
  const AttentionStatistics statistics = attention_statistics(*make("full"), inputs);
  const double entropy = 0.25 * std::log(4.0) + 0.75 * std::log(4.0 / 3.0);
  EXPECT_NEAR(statistics.entropy[0].value(), entropy / std::log(2.0), 1e-7);
  EXPECT_NEAR(statistics.logit_max[0].value(), std::log(3.0), 1e-7);
}

TEST(AttentionStatistics, HiddenPairsCountForNothing) {
  Inputs inputs = random_inputs(1, 2, 12);
  inputs.k.select(2, 11).fill_(1e4);  // seen by the last query only, which is 0
  inputs.q.select(2, 11).fill_(0);
  const AttentionStatistics causal = attention_statistics(*make("flash"), inputs);
  EXPECT_LT(causal.logit_max[0].value(), 100);
  inputs.causal = false;
  EXPECT_GT(attention_statistics(*make("flash"), inputs).logit_max[0].value(), 100);

  Inputs window = random_inputs(1, 2, 12);
  window.k.select(2, 0).fill_(1e4);  // seen by queries 0 to 2
  window.q.narrow(2, 0, 3).fill_(0);
  const auto variant = make("sliding_window", {{"window", std::int64_t{2}}});
  EXPECT_LT(attention_statistics(*variant, window).logit_max[0].value(), 100);
  EXPECT_GT(attention_statistics(*make("full"), window).logit_max[0].value(), 100);
}

TEST(AttentionStatistics, UniformIsOneAndOneKeyIsZero) {
  for (const char *name : {"full", "flash", "sliding_window"}) {
    Inputs inputs = random_inputs(2, 2, 40);
    inputs.q.zero_();
    EXPECT_NEAR(attention_statistics(*make(name), inputs).entropy[1].value(), 1, 1e-12) << name;
    // Each query agrees with its own key alone.
    inputs.q.fill_(1);
    inputs.k = (at::arange(40, at::kFloat) * 1e5).view({1, 1, 40, 1}).expand({2, 2, 40, 4});
    EXPECT_NEAR(attention_statistics(*make(name), inputs).entropy[1].value(), 0, 1e-12) << name;
  }
}

TEST(AttentionStatistics, AWindowIsUniformAmongItsOwnKeys) {
  Inputs inputs = random_inputs(1, 1, 40);
  inputs.q.zero_();
  const auto variant = make("sliding_window", {{"window", std::int64_t{3}}});
  EXPECT_NEAR(attention_statistics(*variant, inputs).entropy[0].value(), 1, 1e-12);
}

TEST(AttentionStatistics, BlocksOfQueriesChangeNothing) {
  // 4 * 8 * 400 * 400 elements are two blocks, the second one shorter; a sample alone is one.
  const Inputs inputs = random_inputs(4, 8, 400);
  const AttentionStatistics together = attention_statistics(*make("flash"), inputs);
  std::vector<double> largest(8, 0), entropy(8, 0);
  for (std::int64_t sample = 0; sample < 4; ++sample) {
    Inputs one = inputs;
    for (at::Tensor *tensor : {&one.q, &one.k, &one.v}) *tensor = tensor->narrow(0, sample, 1);
    const AttentionStatistics alone = attention_statistics(*make("flash"), one);
    for (std::size_t head = 0; head < 8; ++head) {
      largest[head] = std::max(largest[head], alone.logit_max[head].value());
      entropy[head] += alone.entropy[head].value() / 4;
    }
  }
  for (std::size_t head = 0; head < 8; ++head) {
    EXPECT_NEAR(together.logit_max[head].value(), largest[head], 1e-12);
    EXPECT_NEAR(together.entropy[head].value(), entropy[head], 1e-12);
  }
}

TEST(AttentionStatistics, WhatIsNoDistributionHasNoEntropy) {
  const Inputs inputs = random_inputs(1, 2, 10);
  const auto identity = make("linear", {{"feature_map", std::string("identity")}});
  const auto unnormalised = make("linear", {{"normalize", false}});
  EXPECT_FALSE(attention_statistics(*identity, inputs).entropy[0]);
  EXPECT_FALSE(attention_statistics(*unnormalised, inputs).entropy[0]);
  EXPECT_TRUE(attention_statistics(*make("linear"), inputs).entropy[0]);
  EXPECT_FALSE(attention_statistics(*make("linear"), inputs).logit_max[0]);

  Inputs broken = random_inputs(1, 2, 10);
  broken.q[0][1][4][0] = std::numeric_limits<float>::quiet_NaN();
  const AttentionStatistics statistics = attention_statistics(*make("full"), broken);
  EXPECT_TRUE(statistics.entropy[0]);
  EXPECT_FALSE(statistics.entropy[1]);
  EXPECT_TRUE(std::isnan(statistics.logit_max[1].value()));
}

}  // namespace
}  // namespace attnlab
