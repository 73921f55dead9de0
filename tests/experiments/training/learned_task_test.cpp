#include "experiments/training/learned_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/experiments/training/support.h"

namespace attnlab::training {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& more) {
  try {
    config::TrialConfig config = small_config(more);
    settle_training(config, builtin_registry());
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(LearnedTask, TheShapeIsWhatTheVariantSees) {
  config::TrialConfig config = small_config();
  settle_training(config, builtin_registry());
  EXPECT_EQ(config.seqlen_q, 16);
  EXPECT_EQ(config.batch, 8);
  EXPECT_EQ(config.heads, 2);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_TRUE(config.causal);
}

TEST(LearnedTask, LayersAreVariantsWithTheirOptions) {
  config::TrialConfig config =
      small_config("{model: {layers: [full, 'sliding_window window=4', linear]}}");
  const auto task = make_task(config);
  EXPECT_EQ(make_model(config, builtin_registry(), *task)->blocks().size(), 3u);
  EXPECT_EQ(
      make_model(small_config("{model: {depth: 5}}"), builtin_registry(), *task)->blocks().size(),
      5u);
  EXPECT_EQ(model_json(config.model),
            R"({"model.layers":"full, sliding_window window=4, linear","model.dim":16,)"
            R"("model.heads":2,"model.mlp_ratio":1.0})");
}

TEST(LearnedTask, ATestHasOtherKeysAndTheSameTokens) {
  const config::TrialConfig config = small_config();
  const auto task = make_task(config);
  const auto longer = make_test(config, "seqlen=24 pairs=4", *task);
  EXPECT_EQ(longer->sample(tasks::Split::kTest, 0).inputs.size(), 24u);
  EXPECT_THAT(refusal("{train: {tests: ['vocab=64']}}"),
              HasSubstr("64 tokens, and the model learns 32"));
}

TEST(LearnedTask, WhatCannotBeTrainedIsRefusedBeforeItBegins) {
  EXPECT_THAT(refusal("{task: {name: mqra}}"), HasSubstr("mqar"));
  EXPECT_THAT(refusal("{task: {pears: 3}}"), HasSubstr("pairs"));
  EXPECT_THAT(refusal("{task: {name: none}}"), HasSubstr("task=mqar"));
  EXPECT_THAT(refusal("{dtype: float16}"), HasSubstr("dtype=bfloat16"));
  EXPECT_THAT(refusal("{model: {positions: lerned}}"), HasSubstr("learned"));
  EXPECT_THAT(refusal("{model: {heads: 3}}"), HasSubstr("multiple of heads"));
  EXPECT_THAT(refusal("{model: {layers: ['full window']}}"), HasSubstr("'window'"));
  EXPECT_THAT(refusal("{train: {accumulate: 3}}"), HasSubstr("must divide train.batch"));
  EXPECT_THAT(refusal("{train: {lr: []}}"), HasSubstr("train.lr is empty"));
  EXPECT_THAT(refusal("{train: {lr: [1e-3, x]}}"), HasSubstr("train.lr"));
  EXPECT_THAT(refusal("{train: {tests: ['seqlen']}}"), HasSubstr("seqlen"));
  EXPECT_EQ(refusal("{}"), "no error");
}

}  // namespace
}  // namespace attnlab::training
