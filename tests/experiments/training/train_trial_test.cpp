#include "experiments/training/train_trial.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/roll.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "tests/experiments/runner/temporary_folder.h"
#include "tests/experiments/training/support.h"

namespace attnlab::training {
namespace {

using analysis::Status;
using testing::HasSubstr;
using testing::Not;

class TrainTrial : public testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

TEST_F(TrainTrial, PutsAccuracyTimeAndMemoryIntoOneRow) {
  const runner::TemporaryFolder folder;
  TrainTrialOptions options;
  options.folder = folder.path() / "trials" / "001";
  const TrainTrialResult result =
      train_trial(small_config("{train: {tests: ['pairs=3']}}"), builtin_registry(), options);
  const analysis::Record& record = result.record;
  ASSERT_EQ(record.status, Status::kOk) << record.reason;
  EXPECT_EQ(record.task, "mqar pairs=2 vocab=32");
  EXPECT_EQ(record.metric, "accuracy");
  EXPECT_GT(*record.metric_ci, 0);
  EXPECT_GT(*record.time_median_ms, 0);
  EXPECT_GT(*record.peak_bytes, 0);
  EXPECT_GT(*record.train_tokens_per_s, 0);
  EXPECT_EQ(*record.samples, 12);
  EXPECT_EQ(record.kernel, "naive_attention_cpu");

  const auto notes = nlohmann::json::parse(result.notes);
  EXPECT_DOUBLE_EQ(notes["training"]["levels"]["chance"].get<double>(), 1.0 / 16);
  const std::string evaluations = runner::read_text(options.folder / "evaluations.csv");
  EXPECT_TRUE(evaluations.starts_with(kEvaluationsHeader));
  EXPECT_THAT(evaluations, HasSubstr("\n,model,,accuracy,"));
  EXPECT_THAT(evaluations, HasSubstr("\n,last_pair,,accuracy,"));
  EXPECT_THAT(evaluations, HasSubstr("\npairs=3,model,,accuracy,"));
  EXPECT_TRUE(runner::read_text(options.folder / "curve.csv").starts_with(kCurveHeader));
  EXPECT_TRUE(std::filesystem::exists(options.folder / "weights.pt"));
  EXPECT_FALSE(std::filesystem::exists(options.folder / "checkpoint.pt"));
}

TEST_F(TrainTrial, SaysWhatAWindowCanReach) {
  const TrainTrialResult result = train_trial(
      small_config("{variant: {name: sliding_window, window: 1000}}"), builtin_registry(), {});
  EXPECT_THAT(result.notes, HasSubstr(R"("reach_of_window":1.0)"));
  const TrainTrialResult none = train_trial(
      small_config("{variant: {name: sliding_window, window: 1}}"), builtin_registry(), {});
  EXPECT_THAT(none.notes, HasSubstr(R"("reach_of_window":0.0)"));
  const TrainTrialResult layers = train_trial(
      small_config("{variant: {name: sliding_window, window: 2}, model: {depth: 8, dim: 2}, "
                   "train: {steps: 1, eval_samples: 1, test_samples: 1}}"),
      builtin_registry(), {});
  EXPECT_THAT(layers.notes, HasSubstr(R"("reach_of_layers":1.0)"));
}

TEST_F(TrainTrial, LooksInsideTheModelAtEveryLook) {
  const runner::TemporaryFolder folder;
  TrainTrialOptions options;
  options.folder = folder.path();
  const TrainTrialResult result =
      train_trial(small_config("{train: {diagnose: true}}"), builtin_registry(), options);
  ASSERT_EQ(result.record.status, Status::kOk) << result.record.reason;
  const std::string text = runner::read_text(folder.path() / "diagnostics.csv");
  EXPECT_TRUE(text.starts_with(kDiagnosticsHeader));
  for (const char* row :
       {"\n0.01,4,0,-1,gradient_rms,", "\n0.01,8,1,1,entropy,", "\n0.01,12,-1,-1,update_ratio,"}) {
    EXPECT_THAT(text, HasSubstr(row));
  }
  EXPECT_THAT(text, Not(HasSubstr("\n0.01,5,")));
}

TEST_F(TrainTrial, EveryVariantTrainsInBfloat16) {
  int trained = 0;
  for (const std::string& name : builtin_registry().names()) {
    const TrainTrialResult result = train_trial(
        small_config("{dtype: bfloat16, variant: {name: " + name + "}, train: {diagnose: true}}"),
        builtin_registry(), {});
    if (result.record.status == Status::kUnsupported) continue;
    EXPECT_EQ(result.record.status, Status::kOk) << name << ": " << result.record.reason;
    EXPECT_TRUE(result.record.metric_value) << name;
    ++trained;
  }
  EXPECT_GE(trained, 5);
}

TEST_F(TrainTrial, Bfloat16TakesLessMemoryWhereTheScoresAreMostOfIt) {
  const auto peak = [](const std::string& dtype) {
    const TrainTrialResult result =
        train_trial(small_config("{dtype: " + dtype +
                                 ", task: {seqlen: 128, vocab: 130}, train: {steps: 1, "
                                 "eval_samples: 1, test_samples: 1}}"),
                    builtin_registry(), {});
    return static_cast<double>(*result.record.peak_bytes);
  };
  const double ratio = peak("bfloat16") / peak("float32");
  EXPECT_LT(ratio, 0.8) << ratio;
  EXPECT_GT(ratio, 0.5);
}

/// Attends to the next token, too.
class LookingAhead : public Variant {
 public:
  VariantInfo info() const override {
    VariantInfo info;
    info.name = "looking_ahead";
    return info;
  }

 protected:
  Outputs do_forward(const Inputs& inputs) const override {
    return {inputs.v + inputs.v.roll(-1, 2), std::nullopt, std::nullopt};
  }
};

TEST_F(TrainTrial, AModelThatLooksAheadIsWrong) {
  Registry registry;
  register_builtin_variants(registry);
  registry.add({.name = "looking_ahead",
                .option_specs = {},
                .factory = [](const Options&) { return std::make_unique<LookingAhead>(); },
                .origin = "test"});
  const TrainTrialResult result =
      train_trial(small_config("{variant: {name: looking_ahead}}"), registry, {});
  EXPECT_EQ(result.record.status, Status::kWrong);
  EXPECT_THAT(result.record.reason, HasSubstr("logit"));
  EXPECT_FALSE(result.record.metric_value);
}

TEST_F(TrainTrial, OutOfMemoryIsARow) {
  const TrainTrialResult result =
      train_trial(small_config("{limits: {memory: 100000}}"), builtin_registry(), {});
  EXPECT_EQ(result.record.status, Status::kOom);
  EXPECT_FALSE(result.record.metric_value);
}

TEST_F(TrainTrial, WithoutTimesThereAreNone) {
  const TrainTrialResult result =
      train_trial(small_config("{measure: {time: false}}"), builtin_registry(), {});
  EXPECT_EQ(result.record.status, Status::kOk);
  EXPECT_FALSE(result.record.time_median_ms);
  EXPECT_FALSE(result.record.train_tokens_per_s);
  EXPECT_TRUE(result.samples_ms.empty());
  EXPECT_GT(*result.record.peak_bytes, 0);
}

TEST_F(TrainTrial, LearnedPositionsEndWhereTheyEnd) {
  EXPECT_THROW(train_trial(small_config("{train: {tests: ['seqlen=24']}}"), builtin_registry(), {}),
               ConfigError);
  const TrainTrialResult rotary =
      train_trial(small_config("{model: {positions: rotary}, train: {tests: ['seqlen=24']}}"),
                  builtin_registry(), {});
  EXPECT_EQ(rotary.record.status, Status::kOk) << rotary.record.reason;
}

}  // namespace
}  // namespace attnlab::training
