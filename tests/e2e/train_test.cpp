// Learning, as a user runs it: every experiment in small, and a training that is killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "analysis/csv.h"
#include "analysis/record.h"
#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Experiments : public testing::TestWithParam<const char*> {};

TEST_P(Experiments, RunInSmall) {
  const Workplace workplace;
  const Result result = workplace.run({"run", std::string("experiment=") + GetParam() + "_smoke"});
  ASSERT_EQ(result.exit_code, 0) << result.err << result.out;
  const fs::path csv = csv_path(result, workplace);
  const auto records = analysis::read_records(csv);
  ASSERT_FALSE(records.empty());
  for (const analysis::Record& record : records) {
    EXPECT_EQ(record.status, analysis::Status::kOk) << record.reason;
    EXPECT_EQ(record.direction, "train");
    EXPECT_FALSE(record.task.empty());
    EXPECT_TRUE(record.metric_value && record.time_median_ms && record.peak_bytes);
  }
  const fs::path folder = csv.parent_path();
  const analysis::Table curves = analysis::read_csv(folder / "curves.csv");
  EXPECT_EQ(curves.rows.size(), 2 * records.size());  // 20 steps, a look every 10
  const analysis::Table evaluations = analysis::read_csv(folder / "evaluations.csv");
  for (const analysis::Record& record : records) {
    EXPECT_TRUE(std::ranges::any_of(evaluations.rows, [&](const auto& row) {
      return row[0] == record.trial_id && row[2] == "model";
    })) << record.trial_id;
  }
  EXPECT_THAT(result.out, HasSubstr("on the test part"));
}

INSTANTIATE_TEST_SUITE_P(All, Experiments,
                         testing::Values("mqar", "induction", "copying", "listops", "needle",
                                         "charlm", "tradeoff", "gradients"));

std::vector<std::string> small_training(const std::string& dir) {
  return {"run",           "experiment=mqar_smoke", "sweep=null",
          "variant=flash", "train.steps=300",       "train.eval_every=20",
          "run.dir=" + dir};
}

TEST(Training, KilledAndResumedItHasTheSameWeights) {
  const Workplace workplace;
  ASSERT_EQ(workplace.run(small_training("whole")).exit_code, 0);
  const fs::path whole = workplace.path() / "whole/trials/001_flash_n64_train";

  std::vector<std::string> words = small_training("cut");
  words.insert(words.begin(), ATTNLAB_PROGRAM);
  Process process(words, workplace.path());
  const fs::path folder = workplace.path() / "cut/trials/001_flash_n64_train";
  constexpr int kPatience = 12'000;
  for (int i = 0; i < kPatience && !fs::exists(folder / "checkpoint.pt"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ASSERT_TRUE(fs::exists(folder / "checkpoint.pt")) << "no checkpoint within a minute";
  process.send(SIGKILL);
  process.wait();
  ASSERT_FALSE(fs::exists(folder / "weights.pt")) << "it ended before it could be killed";

  const Result resumed = workplace.run({"run", "--resume", "cut"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("goes on from the checkpoint at step"));
  EXPECT_EQ(read_text(folder / "weights.pt"), read_text(whole / "weights.pt"));
  EXPECT_EQ(read_text(folder / "curve.csv"), read_text(whole / "curve.csv"));
  EXPECT_EQ(read_text(folder / "evaluations.csv"), read_text(whole / "evaluations.csv"));
  EXPECT_FALSE(fs::exists(folder / "checkpoint.pt"));
}

TEST(Training, MistakesAreSaidBeforeAnythingIsTrained) {
  const Workplace workplace;
  const auto refusal = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "run");
    const Result result = workplace.run(words);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    return result.err;
  };
  EXPECT_THAT(refusal({"direction=train"}), HasSubstr("write task=mqar"));
  EXPECT_THAT(refusal({"direction=train", "task=mqra"}), HasSubstr("mqar"));
  EXPECT_THAT(refusal({"direction=train", "task=mqar", "task.pears=2"}), HasSubstr("pairs"));
  EXPECT_THAT(refusal({"direction=train", "task=mqar", "model.layers=[fulll]"}),
              HasSubstr("Did you mean 'full'"));
  EXPECT_THAT(refusal({"direction=train", "task=mqar", "kind=longest"}),
              HasSubstr("direction=forward_backward"));
  EXPECT_FALSE(fs::exists(workplace.path() / "outputs"));
}

}  // namespace
}  // namespace attnlab::e2e
