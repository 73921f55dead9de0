#include "experiments/runner/run_grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "experiments/runner/journal.h"
#include "kernels/core/error.h"
#include "tests/experiments/runner/temporary_folder.h"

namespace attnlab::runner {
namespace {

Trial make_trial(const std::string& trial_id) {
  Trial trial;
  trial.trial_id = trial_id;
  trial.options_json = "{}";
  trial.repro = "./attnlab run seed=" + trial_id;
  return trial;
}

TrialResult fake_result(const Trial& trial, analysis::Status status) {
  TrialResult result;
  result.record.trial_id = trial.trial_id;
  result.record.status = status;
  result.record.reason = status == analysis::Status::kOk ? "" : "because";
  if (status == analysis::Status::kOk) result.samples_ms = {1.0, 2.0};
  return result;
}

TEST(RunGrid, EveryTrialIsARowALogAndItsSamples) {
  const TemporaryFolder temporary;
  const RunFolder folder("run", "none");
  Journal journal(folder.path());
  const RunOutcome outcome =
      run_grid({make_trial("001_a"), make_trial("002_b"), make_trial("003_c")}, folder, journal,
               [](const Trial& trial) {
                 return fake_result(trial, trial.trial_id == "002_b" ? analysis::Status::kFailed
                                                                     : analysis::Status::kOk);
               });
  ASSERT_EQ(outcome.records.size(), 3u);
  EXPECT_EQ(outcome.records[1].status, analysis::Status::kFailed);
  EXPECT_EQ(analysis::read_records(outcome.csv_path), outcome.records);
  EXPECT_EQ(read_journal("run/results.jsonl"), outcome.records);
  EXPECT_THAT(read_text("run/trials/002_b/log.txt"), testing::HasSubstr("failed: because"));
  EXPECT_THAT(read_text("run/trials/003_c/log.txt"),
              testing::HasSubstr("./attnlab run seed=003_c"));
  EXPECT_EQ(read_text("run/samples.csv"),
            "trial_id,sample,time_ms\n001_a,0,1\n001_a,1,2\n003_c,0,1\n003_c,1,2\n");
}

TEST(RunGrid, ARowIsStoredBeforeTheNextTrialStarts) {
  const TemporaryFolder temporary;
  const RunFolder folder("run", "none");
  Journal journal(folder.path());
  std::size_t expected = 0;
  run_grid({make_trial("001_a"), make_trial("002_b")}, folder, journal, [&](const Trial& trial) {
    EXPECT_EQ(analysis::read_records("run/results.csv").size(), expected++);
    return fake_result(trial, analysis::Status::kOk);
  });
  EXPECT_EQ(expected, 2u);
}

TEST(RunGrid, SeveralJobsRunAtOnceAndRowsKeepTheirOrder) {
  const TemporaryFolder temporary;
  const RunFolder folder("run", "none");
  std::vector<Trial> trials;
  std::vector<std::string> ids;
  for (int i = 0; i < 12; ++i) {
    ids.push_back(std::to_string(100 + i) + "_a");
    trials.push_back(make_trial(ids.back()));
  }
  Journal journal(folder.path(), ids);
  std::mutex mutex;
  std::condition_variable changed;
  int running = 0;
  int most = 0;
  const RunOutcome outcome = run_grid(
      trials, folder, journal,
      [&](const Trial& trial) {
        std::unique_lock<std::mutex> lock(mutex);
        most = std::max(most, ++running);
        changed.notify_all();
        // The first three meet; after that nobody waits.
        changed.wait_for(lock, std::chrono::seconds(20), [&] { return most >= 3; });
        --running;
        return fake_result(trial, analysis::Status::kOk);
      },
      3);
  EXPECT_EQ(most, 3);
  ASSERT_EQ(outcome.records.size(), ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(outcome.records[i].trial_id, ids[i]);
  EXPECT_EQ(analysis::read_records(outcome.csv_path), outcome.records);
}

TEST(RunGrid, AnErrorOfOneJobEndsTheRunWithIt) {
  const TemporaryFolder temporary;
  const RunFolder folder("run", "none");
  Journal journal(folder.path());
  std::vector<Trial> trials;
  for (int i = 0; i < 500; ++i) trials.push_back(make_trial(std::to_string(i)));
  std::atomic<int> calls = 0;
  EXPECT_THROW(run_grid(
                   trials, folder, journal,
                   [&](const Trial& trial) -> TrialResult {
                     const int call = ++calls;
                     if (call == 3) throw OutputError("the disk of the test is full");
                     // Time for the error to arrive, however busy the machine is.
                     if (call > 3) std::this_thread::sleep_for(std::chrono::milliseconds(20));
                     return fake_result(trial, analysis::Status::kOk);
                   },
                   2),
               OutputError);
  EXPECT_LT(calls, 500);
}

TEST(RunGrid, JobsAreForTrialsThatMeasureNoTime) {
  std::vector<Trial> trials = {make_trial("a"), make_trial("b")};
  EXPECT_NO_THROW(check_jobs(trials, "process", 1));
  EXPECT_THROW(check_jobs(trials, "process", 2), ConfigError);
  trials[0].config.measure_time = trials[1].config.measure_time = false;
  EXPECT_NO_THROW(check_jobs(trials, "process", 2));
  EXPECT_THROW(check_jobs(trials, "none", 2), ConfigError);
}

// The process must end at once, with the finished row on disk, though a trial is still running.
TEST(RunGridDeathTest, InterruptKeepsTheFinishedRows) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const TemporaryFolder temporary;
  const auto run = [] {
    const RunFolder folder("run", "none");
    Journal journal(folder.path());
    run_grid({make_trial("001_a"), make_trial("002_b")}, folder, journal, [](const Trial& trial) {
      if (trial.trial_id == "002_b") {
        ::kill(::getpid(), SIGTERM);
        std::this_thread::sleep_for(std::chrono::minutes(5));
      }
      return fake_result(trial, analysis::Status::kOk);
    });
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(130), "interrupted after 1 of 2 trials");
}

}  // namespace
}  // namespace attnlab::runner
