// --resume and --retry: what is run, what is kept, and what is said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "analysis/csv.h"
#include "analysis/record.h"
#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

namespace fs = std::filesystem;
using analysis::Status;
using testing::HasSubstr;
using testing::Not;

std::vector<analysis::Record> rows(const Workplace& workplace) {
  return analysis::read_records(workplace.path() / "here/results.csv");
}

/// Takes the last lines of the journal away, and their rows.
void forget_last(const Workplace& workplace, int count) {
  const fs::path path = workplace.path() / "here/results.jsonl";
  std::string text = read_text(path);
  for (int i = 0; i < count; ++i) text.resize(text.rfind('\n', text.size() - 2) + 1);
  std::ofstream(path, std::ios::binary) << text;
}

/// The command in the line that begins with `marker`, with the program of this test.
std::string command_in(const std::string& err, const std::string& marker) {
  const std::size_t start = err.rfind(marker + "./attnlab ");
  if (start == std::string::npos) {
    ADD_FAILURE() << "no line '" << marker << "' in\n" << err;
    return "false";
  }
  const std::size_t end = err.find('\n', start);
  EXPECT_EQ(end, err.size() - 1) << "not the last line of\n" << err;
  return err.substr(start + marker.size() + 2, end - start - marker.size() - 2);
}

TEST(Resume, GoesOnWithTheTrialsOfTheLaunch) {
  const Workplace workplace;
  // A config of the user's own, which is edited and removed after the launch.
  fs::create_directories(workplace.path() / "mine/experiment");
  const fs::path config = workplace.path() / "mine/experiment/own.yaml";
  std::ofstream(config) << "# @package _global_\nexperiment: own\nsweep:\n  seed: [1, 2, 3]\n";
  const std::vector<std::string> words =
      tiny({"experiment=own", "run.dir=here", "run.isolation=none", "--config-dir", "mine"});
  ASSERT_EQ(workplace.run(words).exit_code, 0);
  const auto before = rows(workplace);
  ASSERT_EQ(before.size(), 3u);
  forget_last(workplace, 2);
  std::ofstream(config) << "# @package _global_\nexperiment: own\nsweep:\n  seed: [1, 7]\n";

  std::vector<std::string> again = words;
  again.insert(again.end(), {"--resume", "here"});
  const Result edited = workplace.run(again);
  EXPECT_EQ(edited.exit_code, 2);
  EXPECT_THAT(edited.err, HasSubstr("it has 3 trials, these are 2"));

  fs::remove_all(workplace.path() / "mine");
  const Result result = workplace.run({"run", "--resume", "here"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("1 of 3 trials have their rows, 2 to run"));
  const auto after = rows(workplace);
  ASSERT_EQ(after.size(), 3u);
  EXPECT_EQ(after[0], before[0]);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(after[i].config_hash, before[i].config_hash);
    EXPECT_EQ(after[i].run_id, before[i].run_id);
    EXPECT_EQ(after[i].attempt, 1);
  }
  EXPECT_TRUE(fs::exists(workplace.path() / "here/environment-2.json"));
}

TEST(Resume, OfAFinishedRunDoesNothing) {
  const Workplace workplace;
  const std::vector<std::string> words = tiny({"seed=1,2", "run.dir=here", "run.isolation=none"});
  ASSERT_EQ(workplace.run(words).exit_code, 0);
  const std::string journal = read_text(workplace.path() / "here/results.jsonl");
  const std::string csv = read_text(workplace.path() / "here/results.csv");
  const std::string samples = read_text(workplace.path() / "here/samples.csv");
  // The words of the launch are accepted as well.
  std::vector<std::string> again = words;
  again.insert(again.end(), {"--resume", "here"});
  for (const auto& resume : {again, {"run", "--resume", "here", "--retry", "all"}}) {
    const Result result = workplace.run(resume);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr("nothing to do: all 2 trials of here have their rows"));
    EXPECT_EQ(read_text(workplace.path() / "here/results.jsonl"), journal);
    EXPECT_EQ(read_text(workplace.path() / "here/results.csv"), csv);
    EXPECT_EQ(read_text(workplace.path() / "here/samples.csv"), samples);
  }
  EXPECT_FALSE(fs::exists(workplace.path() / "here/environment-2.json"));

  again.emplace_back("run.dir=elsewhere");
  const Result elsewhere = workplace.run(again);
  EXPECT_EQ(elsewhere.exit_code, 2);
  EXPECT_THAT(elsewhere.err, HasSubstr("run.dir is elsewhere, --resume names here"));
}

TEST(Resume, RetryRunsAgainWhatDidNotPassAndCountsAttempts) {
  const Workplace workplace;
  const Result launched =
      workplace.run(tiny({"variant=flash,misbehaving", "++variant.how=throw", "run.dir=here",
                          "--plugin", ATTNLAB_MISBEHAVING_PLUGIN, "run.isolation=none"}));
  // flash has no option `how`.
  EXPECT_EQ(launched.exit_code, 2);

  const Result first =
      workplace.run(tiny({"variant=misbehaving", "+variant.how=throw,fine", "limits.time_s=5",
                          "run.dir=here", "--plugin", ATTNLAB_MISBEHAVING_PLUGIN}));
  EXPECT_EQ(first.exit_code, 3) << first.err;
  const std::string retry = command_in(first.err, "run them again with: ");
  EXPECT_THAT(retry, HasSubstr("run --resume here --retry "));
  ASSERT_EQ(rows(workplace).size(), 2u);

  const Result none = workplace.run({"run", "--resume", "here", "--retry", "oom"});
  EXPECT_THAT(none.err, HasSubstr("nothing to do"));

  const Result second = workplace.shell(retry);
  EXPECT_EQ(second.exit_code, 3) << second.err;
  const auto after = rows(workplace);
  ASSERT_EQ(after.size(), 2u);
  EXPECT_EQ(after[0].status, Status::kFailed);
  EXPECT_EQ(after[0].attempt, 2);
  const std::string journal = read_text(workplace.path() / "here/results.jsonl");
  std::istringstream lines(journal);
  int attempts = 0;
  for (std::string line; std::getline(lines, line);) {
    attempts += nlohmann::json::parse(line)["trial_id"] == after[0].trial_id;
  }
  EXPECT_EQ(attempts, 2);
}

TEST(Resume, RowsOfAnotherBuildAreNamedAndKept) {
  const Workplace workplace;
  const fs::path plugin = workplace.path() / "plugin.so";
  fs::copy_file(ATTNLAB_MISBEHAVING_PLUGIN, plugin);
  ASSERT_EQ(workplace
                .run(tiny({"variant=misbehaving", "+variant.how=throw", "seed=1,2", "run.dir=here",
                           "run.isolation=none", "--plugin", plugin.string()}))
                .exit_code,
            3);
  forget_last(workplace, 1);
  // Bytes after its end: another file, which loads as before.
  std::ofstream(plugin, std::ios::app) << "changed";
  const Result result = workplace.run({"run", "--resume", "here"});
  EXPECT_THAT(result.err, HasSubstr("measured and that are kept: 1. To measure"));
  EXPECT_EQ(rows(workplace).size(), 2u);
  const Result all = workplace.run({"run", "--resume", "here", "--retry", "all"});
  EXPECT_THAT(all.err, Not(HasSubstr("another build")));
  EXPECT_EQ(rows(workplace)[0].attempt, 2);
}

TEST(Resume, WhatIsNoRunIsRefused) {
  const Workplace workplace;
  fs::create_directories(workplace.path() / "empty");
  for (const auto& [words, message] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"run", "--resume", "missing"}, "there is no such folder"},
           {{"run", "--resume", "empty"}, "holds no jobs.jsonl"},
           {{"run", "--retry", "all"}, "--resume"},
           {{"run", "--resume", "empty", "--retry", "ok"}, "--retry"}}) {
    const Result result = workplace.run(words);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr(message));
  }
}

TEST(Resume, AnInterruptedRunSaysHowToGoOn) {
  const Workplace workplace;
  std::vector<std::string> words = {ATTNLAB_PROGRAM};
  for (const std::string& word :
       tiny({"seed=1,2", "run.dir=a b", "measure.rel_width=0", "measure.max_samples=1000000",
             "measure.max_time_s=0.01,4"})) {
    words.push_back(word);
  }
  Process process(words, workplace.path());
  const fs::path journal = workplace.path() / "a b/results.jsonl";
  for (int i = 0; i < 1500 && !(fs::exists(journal) && fs::file_size(journal) > 0); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  // A living runner keeps its folder.
  const Workplace other;
  const Result second = other.run({"run", "--resume", (workplace.path() / "a b").string()});
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.err, HasSubstr("in use by another runner"));

  process.send(SIGINT);
  const Result result = process.wait();
  EXPECT_EQ(result.exit_code, 130);
  const std::string command = command_in(result.err, "go on with: ");
  const Result resumed = workplace.shell(command);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(analysis::read_records(workplace.path() / "a b/results.csv").size(), 4u);
}

// A limit on the size of files stands for a full disk: the system refuses the write that crosses
// it.
TEST(Resume, AFullDiskEndsTheRunWithTheReasonAndLosesNothing) {
  const Workplace workplace;
  const Result full = workplace.shell(
      "trap '' XFSZ; ulimit -f 17; attnlab run shape.heads=2 shape.head_dim=8 shape.seqlen=16 "
      "measure=quick measure.max_time_s=0.01 measure.warmup_s=0 threads=1 run.dir=here "
      "run.isolation=none seed=1,2,3,4,5,6,7,8,9,10 >out 2>err");
  EXPECT_EQ(full.exit_code, 1);
  const std::string err = read_text(workplace.path() / "err");
  EXPECT_THAT(err, HasSubstr("File too large"));
  const std::string command = command_in(err, "go on with: ");
  const Result resumed = workplace.shell(command);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("of 10 trials have their rows"));
  const auto after = rows(workplace);
  ASSERT_EQ(after.size(), 10u);
  for (const analysis::Record& record : after) EXPECT_EQ(record.attempt, 1);
}

}  // namespace
}  // namespace attnlab::e2e
