#include "experiments/runner/grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "experiments/root.h"
#include "kernels/core/error.h"
#include "kernels/ops/device.h"

namespace attnlab::runner {
namespace {

using testing::HasSubstr;

Registry builtin_registry() {
  Registry registry;
  register_builtin_variants(registry);
  return registry;
}

std::vector<Trial> expand(const std::vector<std::string>& overrides,
                          const ReproContext& context = {}) {
  config::ComposeRequest request;
  request.config_dirs = {project_root() / "configs"};
  request.overrides = overrides;
  request.open_groups = {"variant"};
  return expand_grid(config::compose(request), builtin_registry(), context);
}

Trial expand_one(const std::vector<std::string>& overrides) {
  const std::vector<Trial> trials = expand(overrides);
  EXPECT_EQ(trials.size(), 1u);
  return trials.front();
}

TEST(Grid, TrialIdsAreUniqueReadableAndInOrder) {
  const std::vector<Trial> trials =
      expand({"variant=full,sliding_window", "shape.seqlen=64,1024", "direction=forward"});
  ASSERT_EQ(trials.size(), 4u);
  std::set<std::string> ids;
  for (const Trial& trial : trials) ids.insert(trial.trial_id);
  EXPECT_EQ(ids.size(), 4u);
  EXPECT_EQ(trials[0].trial_id, "001_full_n64_forward");
  EXPECT_EQ(trials[3].trial_id, "004_sliding_window_n1024_forward");
}

TEST(Grid, EqualTrialsOfOneRunStillHaveDifferentIds) {
  const std::vector<Trial> trials = expand({"seed=1,1"});
  ASSERT_EQ(trials.size(), 2u);
  EXPECT_NE(trials[0].trial_id, trials[1].trial_id);
  EXPECT_EQ(trials[0].config_hash, trials[1].config_hash);
}

TEST(Grid, DifferentLengthsAreInTheId) {
  const Trial trial = expand_one({"shape.seqlen_q=16", "shape.seqlen_k=64"});
  EXPECT_THAT(trial.trial_id, HasSubstr("_n16x64_"));
}

TEST(Grid, TheHashIsThatOfTheTrialAlone) {
  const std::string hash = expand_one({"variant=flash", "shape.seqlen=64"}).config_hash;
  EXPECT_EQ(hash.size(), 16u);
  EXPECT_EQ(hash.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(expand_one({"variant=flash", "shape.seqlen=64", "run.dir=/tmp/x"}).config_hash, hash);
  EXPECT_EQ(expand({"variant=full,flash", "shape.seqlen=32,64"})[3].config_hash, hash);
  // The same trial, said differently.
  EXPECT_EQ(expand_one({"variant=flash", "shape.seqlen_q=64", "shape.seqlen_k=64"}).config_hash,
            hash);
}

TEST(Grid, TheHashSeesEveryPartOfTheTrial) {
  const std::vector<std::vector<std::string>> all = {
      {},
      {"variant=full"},
      {"variant=sliding_window", "variant.window=8"},
      {"variant=sliding_window", "variant.window=9"},
      {"shape.seqlen=65"},
      {"shape.seqlen_k=65"},
      {"shape.batch=2"},
      {"shape.heads=2"},
      {"shape.kv_heads=1"},
      {"shape.head_dim=32"},
      {"shape.head_dim_v=32"},
      {"direction=backward"},
      {"dtype=bfloat16"},
      {"causal=true"},
      {"seed=1"},
      {"threads=1"},
      {"inputs=text"},
      {"measure.max_time_s=0.125"},
      {"measure.error_rows=3"},
      {"limits.memory=1GiB"},
  };
  std::set<std::string> hashes;
  for (const auto& overrides : all) hashes.insert(expand_one(overrides).config_hash);
  EXPECT_EQ(hashes.size(), all.size());
}

TEST(Grid, AnOptionAtItsDefaultIsTheSameTrial) {
  EXPECT_EQ(expand_one({"variant=sliding_window"}).config_hash,
            expand_one({"variant=sliding_window", "variant.window=256"}).config_hash);
}

TEST(Grid, ReproNamesTheRowAndNotTheFolder) {
  const std::vector<Trial> trials =
      expand({"variant=flash,full", "shape.seqlen=64", "run.dir=/tmp/x"});
  EXPECT_THAT(trials[1].repro, testing::StartsWith("./attnlab run "));
  EXPECT_THAT(trials[1].repro, HasSubstr("variant=full"));
  EXPECT_THAT(trials[1].repro, HasSubstr("shape.seqlen=64"));
  EXPECT_THAT(trials[1].repro, Not(HasSubstr("flash")));
  EXPECT_THAT(trials[1].repro, Not(HasSubstr("run.dir")));
}

TEST(Grid, ReproNamesPluginsByAbsolutePath) {
  const std::string repro = expand({}, {{"my plugin.so"}, "", ""}).front().repro;
  const std::string path = std::filesystem::absolute("my plugin.so").string();
  EXPECT_EQ(repro, "./attnlab run --plugin '" + path + "'");
}

TEST(Grid, ShellQuote) {
  EXPECT_EQ(shell_quote("shape.seqlen=64"), "shape.seqlen=64");
  EXPECT_EQ(shell_quote("a=[1, 2]"), "'a=[1, 2]'");
  EXPECT_EQ(shell_quote("~key"), "'~key'");
  EXPECT_EQ(shell_quote("a='b c'"), "'a='\\''b c'\\'''");
  EXPECT_EQ(shell_quote(""), "''");
}

TEST(Grid, WhatCannotRunIsRefusedBeforeAnythingRuns) {
  try {
    expand({"variant=full,flsh"});
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'flash'"));
    EXPECT_THAT(error.what(), HasSubstr("sliding_window"));
  }
  EXPECT_THROW(expand({"variant=sliding_window", "variant.windw=3"}), ConfigError);
  EXPECT_THROW(expand({"variant=sliding_window", "variant.window=many"}), ConfigError);
  if (!ops::why_no_cuda().empty()) {
    EXPECT_THROW(expand({"device=cuda"}), DeviceError);
  }
}

}  // namespace
}  // namespace attnlab::runner
