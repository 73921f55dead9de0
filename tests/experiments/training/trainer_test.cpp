#include "experiments/training/trainer.h"

#include <ATen/Parallel.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "experiments/measure/memory.h"
#include "experiments/training/checkpoint.h"
#include "experiments/training/learned_task.h"
#include "kernels/core/error.h"
#include "tests/experiments/runner/temporary_folder.h"
#include "tests/experiments/training/support.h"

namespace attnlab::training {
namespace {

using testing::HasSubstr;

struct Trained {
  TrainResult result;
  at::Tensor weights;
};

struct Stop : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// `stop_after`: reports until the training is cut off, as a kill does it; -1 = none.
Trained train_small(const config::TrialConfig& config, const std::filesystem::path& checkpoint = {},
                    int stop_after = -1, const std::string& identity = "one") {
  measure::install_counting_allocator();
  at::set_num_threads(1);
  const auto task = make_task(config);
  TrainRequest request;
  request.config = config.train;
  request.seed = config.seed;
  request.identity = identity;
  request.checkpoint = checkpoint;
  request.report = [&](const std::string&) {
    if (stop_after >= 0 && stop_after-- == 0) throw Stop("killed");
  };
  SequenceModel model{nullptr};
  const ModelFactory make = [&] { return make_model(config, builtin_registry(), *task); };
  Trained trained;
  trained.result = train(request, *task, make, model);
  trained.weights = weights_of(model);
  return trained;
}

TEST(Trainer, LearnsWhatCanBeLearned) {
  // One pair: its value is the answer.
  const Trained trained = train_small(small_config(
      "{task: {seqlen: 8, pairs: 1, vocab: 16}, train: {steps: 300, batch: 32, eval_every: 100}}"));
  EXPECT_GE(trained.result.validation, 0.95);
  ASSERT_EQ(trained.result.curve.size(), 3u);
  EXPECT_LT(trained.result.curve.back().loss, 0.3 * trained.result.curve.front().loss);
  EXPECT_GT(trained.result.peak_bytes, trained.weights.nbytes() * 4);
  EXPECT_GT(trained.result.tokens_per_s, 0);
  EXPECT_EQ(trained.result.step_ms.size(), 300u);
}

TEST(Trainer, LearnsTheSameInBfloat16) {
  const Trained trained =
      train_small(small_config("{dtype: bfloat16, task: {seqlen: 8, pairs: 1, vocab: 16}, "
                               "train: {steps: 300, batch: 32, eval_every: 100}}"));
  EXPECT_GE(trained.result.validation, 0.95);
  EXPECT_LT(trained.result.curve.back().loss, 0.3 * trained.result.curve.front().loss);
  EXPECT_EQ(trained.weights.scalar_type(), at::kFloat);
  // More bits than a bfloat16 has: updates smaller than its roundings are not lost.
  EXPECT_FALSE(at::equal(trained.weights, trained.weights.to(at::kBFloat16).to(at::kFloat)));
}

TEST(Trainer, TheSameSeedGivesTheSameBits) {
  EXPECT_TRUE(at::equal(train_small(small_config()).weights, train_small(small_config()).weights));
  EXPECT_FALSE(at::equal(train_small(small_config()).weights,
                         train_small(small_config("{seed: 1}")).weights));
}

void expect_same_bits_after(int cut, const config::TrialConfig& config, const Trained& whole) {
  const runner::TemporaryFolder folder;
  const std::filesystem::path checkpoint = folder.path() / "checkpoint.pt";
  EXPECT_THROW(train_small(config, checkpoint, cut), Stop);
  const Trained continued = train_small(config, checkpoint);
  EXPECT_TRUE(at::equal(whole.weights, continued.weights)) << cut;
  EXPECT_EQ(whole.result.best_lr, continued.result.best_lr);
  EXPECT_EQ(whole.result.validation, continued.result.validation);
  ASSERT_EQ(whole.result.curve.size(), continued.result.curve.size());
  for (std::size_t i = 0; i < whole.result.curve.size(); ++i) {
    EXPECT_EQ(whole.result.curve[i].loss, continued.result.curve[i].loss);
    EXPECT_EQ(whole.result.curve[i].gradient_norm, continued.result.curve[i].gradient_norm);
  }
  ASSERT_EQ(whole.result.looks_inside.size(), continued.result.looks_inside.size());
  for (std::size_t i = 0; i < whole.result.looks_inside.size(); ++i) {
    EXPECT_EQ(whole.result.looks_inside[i].row.value, continued.result.looks_inside[i].row.value);
  }
  EXPECT_EQ(continued.result.step_ms.size(), whole.result.step_ms.size());
}

TEST(Trainer, GoesOnToTheSameBitsWhereverItWasCutOff) {
  // Six looks; with a report at the start of every continuation.
  for (const auto& [dtype, cuts] :
       {std::pair{"float32", std::vector<int>{0, 1, 2, 3, 4, 5}}, {"bfloat16", {1, 4}}}) {
    const config::TrialConfig config =
        small_config(std::string("{dtype: ") + dtype +
                     ", train: {lr: [1e-2, 3e-3], examples: 40, diagnose: true}}");
    const Trained whole = train_small(config);
    for (const int cut : cuts) expect_same_bits_after(cut, config, whole);
  }
}

TEST(Trainer, ACheckpointOfSomethingElseIsNotUsed) {
  const runner::TemporaryFolder folder;
  const std::filesystem::path checkpoint = folder.path() / "checkpoint.pt";
  EXPECT_THROW(train_small(small_config("{seed: 5}"), checkpoint, 1, "other"), Stop);
  EXPECT_TRUE(at::equal(train_small(small_config(), checkpoint).weights,
                        train_small(small_config()).weights));
}

TEST(Trainer, ADamagedCheckpointIsSaidInWords) {
  const runner::TemporaryFolder folder;
  const std::filesystem::path checkpoint = folder.path() / "checkpoint.pt";
  EXPECT_THROW(train_small(small_config(), checkpoint, 0), Stop);
  std::filesystem::resize_file(checkpoint, std::filesystem::file_size(checkpoint) / 2);
  try {
    train_small(small_config(), checkpoint);
    FAIL() << "no error";
  } catch (const OutputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("Remove it to train from the beginning"));
  }
}

TEST(Trainer, PartsOfABatchAddUpToIt) {
  const at::Tensor whole = train_small(small_config("{dtype: float64}")).weights;
  const at::Tensor parts =
      train_small(small_config("{dtype: float64, train: {accumulate: 4}}")).weights;
  // In float64 what is left are roundings; AdamW's epsilon keeps those of zero gradients small.
  EXPECT_TRUE(at::allclose(whole, parts, 1e-6, 1e-6));
}

TEST(Trainer, TheValidationPartChoosesTheLearningRate) {
  const std::string task = "task: {seqlen: 8, pairs: 1, vocab: 16}";
  const Trained trained = train_small(small_config(
      "{" + task + ", train: {steps: 200, batch: 32, eval_every: 200, lr: [1e-6, 1e-2]}}"));
  EXPECT_EQ(trained.result.best_lr, 1e-2);
  const Trained alone = train_small(
      small_config("{" + task + ", train: {steps: 200, batch: 32, eval_every: 200, lr: 1e-2}}"));
  EXPECT_TRUE(at::equal(trained.weights, alone.weights));
}

TEST(Trainer, ALossThatIsNotFiniteIsTheWorst) {
  const Trained trained = train_small(small_config("{train: {lr: [1e-2, 100], clip: 0}}"));
  EXPECT_EQ(trained.result.best_lr, 1e-2);
}

TEST(Trainer, EndsEarlyWhereItIsGoodEnoughOrNoLongerBetter) {
  const std::string task = "task: {seqlen: 8, pairs: 1, vocab: 16}";
  const Trained reached = train_small(small_config(
      "{" + task + ", train: {steps: 1000, batch: 32, eval_every: 20, stop_at: 0.5}}"));
  EXPECT_LT(reached.result.steps, 1000);
  EXPECT_GE(reached.result.validation, 0.5);
  const Trained stale =
      train_small(small_config("{train: {steps: 1000, lr: 1e-9, eval_every: 1, patience: 3}}"));
  EXPECT_EQ(stale.result.steps, 4);
}

}  // namespace
}  // namespace attnlab::training
