#include "experiments/training/evaluate.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/experiments/training/support.h"

namespace attnlab::training {
namespace {

using tasks::kNotScored;
using tasks::Sample;
using tasks::Split;

/// Samples as they are written down; the evidence of each answer is the first token.
class FixedTask : public tasks::Task {
 public:
  FixedTask(std::vector<Sample> samples, tasks::Metric metric)
      : samples_(std::move(samples)), metric_(metric) {}
  Sample sample(Split, std::uint64_t index) const override { return samples_.at(index); }
  std::uint64_t size(Split) const override { return samples_.size(); }
  std::vector<std::string> vocabulary() const override { return {"a", "b", "c", "d"}; }
  std::int64_t answers() const override { return 4; }
  tasks::Metric metric() const override { return metric_; }
  std::optional<std::size_t> evidence(std::span<const std::int32_t>, std::size_t) const override {
    return 0;
  }

 private:
  std::vector<Sample> samples_;
  tasks::Metric metric_;
};

/// Answers `right` with probability 1/2 and each other token with 1/6, whatever it reads.
SequenceModel constant_model(std::int64_t right) {
  const at::NoGradGuard no_grad;
  at::set_num_threads(1);
  SequenceModelOptions options;
  options.vocab = options.answers = 4;
  options.embed_dim = 8;
  options.max_seqlen = 8;
  std::vector<std::unique_ptr<Variant>> layers;
  layers.push_back(builtin_registry().make("full"));
  SequenceModel model(options, std::move(layers));
  for (at::Tensor& parameter : model->parameters()) parameter.zero_();
  for (const auto& parameter : model->named_parameters()) {
    if (parameter.key() == "head.bias") parameter.value().data()[right] = std::log(3.0);
  }
  return model;
}

constexpr std::int32_t kNo = kNotScored;

TEST(Evaluate, AccuracyIsOfAnswersAndOfEachDistance) {
  SequenceModel model = constant_model(2);
  // Asked at 1 (right), 2 (wrong), 3 (right), and at 3 (wrong) of the second.
  const FixedTask task({{{0, 1, 2, 3}, {kNo, 2, 1, 2}}, {{0, 1, 2, 3}, {kNo, kNo, kNo, 0}}},
                       tasks::Metric::kAccuracy);
  const std::vector<Score> scores = evaluate(model, task, Split::kTest, 10, 1);
  ASSERT_EQ(scores.size(), 3u);
  EXPECT_EQ(scores[0].slice, "");
  EXPECT_EQ(scores[0].metric, "accuracy");
  EXPECT_DOUBLE_EQ(scores[0].value, 2.0 / 4);
  EXPECT_EQ(scores[0].samples, 2);
  // Residuals 2 - 3/2 and 0 - 1/2: sqrt((1/4 + 1/4) * 2) / 4.
  EXPECT_NEAR(scores[0].ci, 1.959964 * 1.0 / 4, 1e-12);
  EXPECT_EQ(scores[1].slice, "distance=1");
  EXPECT_DOUBLE_EQ(scores[1].value, 1);
  EXPECT_EQ(scores[2].slice, "distance=2..3");
  EXPECT_DOUBLE_EQ(scores[2].value, 1.0 / 3);
}

TEST(Evaluate, AnExactMatchNeedsEveryAnswer) {
  SequenceModel model = constant_model(2);
  const FixedTask task({{{0, 1, 2}, {kNo, 2, 2}}, {{0, 1, 2}, {kNo, 2, 1}}, {{0, 1}, {2}}},
                       tasks::Metric::kExactMatch);
  const std::vector<Score> scores = evaluate(model, task, Split::kTest, 3, 2);
  EXPECT_EQ(scores[0].metric, "exact_match");
  EXPECT_DOUBLE_EQ(scores[0].value, 2.0 / 3);
}

TEST(Evaluate, BitsPerByteAreThoseOfTheProbabilities) {
  SequenceModel model = constant_model(2);
  const FixedTask task({{{0, 1, 2, 3}, {2, 2, 1, 2}}}, tasks::Metric::kBitsPerByte);
  const std::vector<Score> scores = evaluate(model, task, Split::kTest, 1, 4);
  EXPECT_NEAR(scores[0].value, (3 * 1 + std::log2(6)) / 4, 1e-6);
  ASSERT_EQ(scores.size(), 4u);
  EXPECT_EQ(scores[1].slice, "position=0");
  EXPECT_NEAR(scores[1].value, 1, 1e-6);
  EXPECT_EQ(scores[3].slice, "position=2..3");
  EXPECT_NEAR(scores[3].value, (1 + std::log2(6)) / 2, 1e-6);
}

TEST(Evaluate, TheSizeOfBatchesChangesNothing) {
  const config::TrialConfig config = small_config();
  SequenceModel model = constant_model(1);
  std::vector<Sample> samples;
  for (int i = 0; i < 7; ++i) samples.push_back({{0, i % 4, 1}, {kNo, i % 2, 1}});
  const FixedTask task(samples, tasks::Metric::kAccuracy);
  EXPECT_DOUBLE_EQ(evaluate(model, task, Split::kTest, 7, 1)[0].value,
                   evaluate(model, task, Split::kTest, 7, 3)[0].value);
}

TEST(Evaluate, NotANumberIsNeverBetter) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(is_better(tasks::Metric::kAccuracy, 0.2, 0.1));
  EXPECT_FALSE(is_better(tasks::Metric::kBitsPerByte, 0.2, 0.1));
  EXPECT_TRUE(is_better(tasks::Metric::kBitsPerByte, 9, nan));
  EXPECT_FALSE(is_better(tasks::Metric::kAccuracy, nan, 0.1));
  EXPECT_FALSE(is_better(tasks::Metric::kAccuracy, nan, nan));
}

}  // namespace
}  // namespace attnlab::training
