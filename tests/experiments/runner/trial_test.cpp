#include "experiments/runner/trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"

namespace attnlab::runner {
namespace {

/// Raises in every forward pass, as a variant with a bug does.
class RaisingVariant : public Variant {
 public:
  VariantInfo info() const override {
    return {.name = "raising",
            .summary = "raises",
            .paper = "",
            .time_order = "1",
            .memory_order = "1"};
  }

 protected:
  Outputs do_forward(const Inputs&) const override {
    throw std::runtime_error("the bug of the test\nsecond line");
  }
};

Registry make_registry() {
  Registry registry;
  register_builtin_variants(registry);
  registry.add(
      {"raising", {}, [](const Options&) { return std::make_unique<RaisingVariant>(); }, "test"});
  return registry;
}

Trial make_trial(const std::string& variant) {
  Trial trial;
  trial.trial_id = "001_" + variant;
  trial.config_hash = "0123456789abcdef";
  trial.options_json = "{}";
  trial.repro = "./attnlab run variant=" + variant;
  config::TrialConfig& config = trial.config;
  config.experiment = "none";
  config.variant = variant;
  config.heads = 2;
  config.kv_heads = 1;
  config.seqlen_q = config.seqlen_k = 16;
  config.head_dim = config.head_dim_v = 8;
  config.direction = "forward";
  config.dtype = "float32";
  config.device = "cpu";
  config.threads = 1;
  config.inputs = "gaussian";
  config.max_time_s = 0.01;
  config.min_samples = 2;
  config.max_samples = 3;
  config.error_rows = 4;
  return trial;
}

RunIdentity make_identity() {
  RunIdentity identity;
  identity.run_id = "the_run";
  identity.environment.host = "the_host";
  return identity;
}

TEST(Trial, ProblemTakesEveryShape) {
  Trial trial = make_trial("flash");
  trial.config.batch = 3;
  trial.config.seqlen_k = 32;
  trial.config.head_dim_v = 4;
  trial.config.dtype = "bfloat16";
  trial.config.direction = "backward";
  trial.config.causal = true;
  const Problem problem = make_problem(trial.config);
  EXPECT_EQ(problem.batch, 3);
  EXPECT_EQ(problem.heads, 2);
  EXPECT_EQ(problem.kv_heads, 1);
  EXPECT_EQ(problem.seqlen_q, 16);
  EXPECT_EQ(problem.seqlen_k, 32);
  EXPECT_EQ(problem.head_dim, 8);
  EXPECT_EQ(problem.head_dim_v, 4);
  EXPECT_EQ(problem.dtype, at::kBFloat16);
  EXPECT_EQ(problem.direction, Direction::kBackward);
  EXPECT_TRUE(problem.causal);
  EXPECT_EQ(problem.threads, 1);
}

TEST(Trial, ZeroThreadsMeansAllThatAreAllowed) {
  EXPECT_GE(effective_threads(0), 1);
  EXPECT_EQ(effective_threads(7), 7);
}

TEST(Trial, AGoodTrialFillsTheRow) {
  const TrialResult result = run_trial(make_trial("flash"), make_registry(), make_identity());
  const analysis::Record& record = result.record;
  EXPECT_EQ(record.status, analysis::Status::kOk) << record.reason;
  EXPECT_EQ(record.run_id, "the_run");
  EXPECT_EQ(record.host, "the_host");
  EXPECT_EQ(record.trial_id, "001_flash");
  EXPECT_EQ(record.config_hash, "0123456789abcdef");
  EXPECT_EQ(record.seqlen_q, 16);
  EXPECT_EQ(record.kv_heads, 1);
  EXPECT_EQ(record.threads, 1);
  EXPECT_EQ(record.attempt, 1);
  EXPECT_EQ(record.samples, static_cast<std::int64_t>(result.samples_ms.size()));
  EXPECT_GE(result.samples_ms.size(), 1u);
  EXPECT_TRUE(record.duration_s.has_value());
  EXPECT_TRUE(record.started_utc.ends_with("Z"));
}

TEST(Trial, AnExceptionIsARowWithItsFirstLine) {
  const TrialResult result = run_trial(make_trial("raising"), make_registry(), make_identity());
  EXPECT_EQ(result.record.status, analysis::Status::kFailed);
  EXPECT_THAT(result.record.reason, testing::HasSubstr("the bug of the test"));
  EXPECT_THAT(result.record.reason, Not(testing::HasSubstr("second line")));
  EXPECT_EQ(result.record.repro, "./attnlab run variant=raising");
  EXPECT_TRUE(result.samples_ms.empty());
}

TEST(Trial, WrongInputsAreARowToo) {
  Trial trial = make_trial("flash");
  trial.config.inputs = "nonsense";
  const TrialResult result = run_trial(trial, make_registry(), make_identity());
  EXPECT_EQ(result.record.status, analysis::Status::kFailed);
  EXPECT_THAT(result.record.reason, testing::HasSubstr("nonsense"));
}

TEST(Trial, TooLongIsATimeoutWithoutATime) {
  Trial trial = make_trial("flash");
  trial.config.time_limit_s = 1e-9;
  const TrialResult result = run_trial(trial, make_registry(), make_identity());
  EXPECT_EQ(result.record.status, analysis::Status::kTimeout);
  EXPECT_THAT(result.record.reason, testing::HasSubstr("limits.time_s"));
  EXPECT_FALSE(result.record.time_median_ms.has_value());
  EXPECT_TRUE(result.samples_ms.empty());
}

}  // namespace
}  // namespace attnlab::runner
