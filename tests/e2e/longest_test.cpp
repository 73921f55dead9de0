// kind=longest: searches as a user runs them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sstream>
#include <thread>

#include "analysis/record.h"
#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

namespace fs = std::filesystem;
using analysis::Record;
using analysis::Status;
using testing::HasSubstr;

std::vector<Record> summaries(const std::vector<Record>& rows) {
  std::vector<Record> result;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(result),
               [](const Record& record) { return record.task == "longest"; });
  return result;
}

std::vector<Record> rows(const Workplace& workplace, const std::string& folder = "here") {
  return analysis::read_records(workplace.path() / folder / "results.csv");
}

TEST(Longest, SmokeFindsWhatThePlansSay) {
  const Workplace workplace;
  const Result dry = workplace.run({"run", "experiment=longest_smoke", "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_EQ(dry.err, "4 searches\n");
  EXPECT_THAT(dry.out, HasSubstr("001_full_longest_forward variant=full"));

  const Result result = workplace.run({"run", "experiment=longest_smoke", "run.dir=here"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("longest sequence that fits; float32 on cpu"));
  const std::vector<Record> all = rows(workplace);
  const std::vector<Record> found = summaries(all);
  ASSERT_EQ(found.size(), 4u);
  // full, forward: q, k, v, out of 2 heads x 16 x 4 bytes a token and one N x N matrix per head:
  // 512 N + 8 N^2 bytes <= 2 MiB up to N = 481, to within a quarter of N.
  EXPECT_EQ(found[0].metric_value, 448.0);
  EXPECT_THAT(found[0].reason, HasSubstr("448 fits; 512: oom: not started"));
  EXPECT_EQ(found[1].reason, "2048 fits, which is longest.max");
  for (const Record& record : all) {
    if (record.status == Status::kOk && record.peak_bytes) {
      EXPECT_LE(*record.peak_bytes, 2 << 20) << record.trial_id;
    }
  }

  const std::string journal = read_text(workplace.path() / "here/results.jsonl");
  const Result again = workplace.run({"run", "--resume", "here"});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.err, HasSubstr("nothing to do: all 4 searches"));
  EXPECT_EQ(read_text(workplace.path() / "here/results.jsonl"), journal);

  // The command of a probe reruns that probe: same hash, an ordinary trial.
  const Record& probe = all.front();
  ASSERT_TRUE(probe.repro.starts_with("./attnlab run ")) << probe.repro;
  const Result rerun = workplace.shell(probe.repro.substr(2) + " run.dir=rerun");
  EXPECT_EQ(rerun.exit_code, 0) << rerun.err;
  const std::vector<Record> reran = rows(workplace, "rerun");
  ASSERT_EQ(reran.size(), 1u);
  EXPECT_EQ(reran[0].config_hash, probe.config_hash);
  EXPECT_EQ(reran[0].seqlen_q, probe.seqlen_q);
}

TEST(Longest, AnInterruptedSearchGoesOnWithTheNextProbe) {
  const Workplace workplace;
  Process process({ATTNLAB_PROGRAM, "run", "experiment=longest_smoke", "run.dir=here",
                   "variant=linear", "direction=forward"},
                  workplace.path());
  const fs::path journal = workplace.path() / "here/results.jsonl";
  for (int i = 0; i < 1500 && !(fs::exists(journal) && fs::file_size(journal) > 0); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  process.send(SIGINT);
  EXPECT_EQ(process.wait().exit_code, 130);
  const std::size_t before = rows(workplace).size();
  EXPECT_LT(before, 5u);
  const Result resumed = workplace.run({"run", "--resume", "here"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  const std::vector<Record> all = rows(workplace);
  EXPECT_EQ(all.size(), 5u);
  for (const Record& record : all) EXPECT_EQ(record.attempt, 1);
  EXPECT_EQ(summaries(all).at(0).metric_value, 2048.0);
}

TEST(Longest, AVariantThatCrashesIsBoundedAndNamed) {
  const Workplace workplace;
  const Result result =
      workplace.run({"run", "kind=longest", "variant=misbehaving", "+variant.how=segv",
                     "longest.start=64", "longest.max=256", "longest.granularity=32",
                     "run.dir=here", "--plugin", ATTNLAB_MISBEHAVING_PLUGIN});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_THAT(result.out, HasSubstr("crashed at 32"));
  EXPECT_THAT(result.err, HasSubstr("run what failed again with: "));
  const std::vector<Record> found = summaries(rows(workplace));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].status, Status::kCrashed);
  EXPECT_FALSE(found[0].metric_value);
}

TEST(Longest, WhatASearchCannotDoIsRefused) {
  const Workplace workplace;
  for (const auto& [words, message] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"run", "experiment=longest_smoke", "run.isolation=none"}, "a process of its own"},
           {{"run", "experiment=longest_smoke", "--jobs", "2"}, "leave out --jobs"},
           {{"run", "kind=longest,measure"}, "cannot be swept together"},
           {{"run", "kind=longset"}, "Did you mean 'longest'?"},
           {{"run", "experiment=longest_smoke", "longest.start=4096"},
            "above longest.max = 2048"}}) {
    const Result result = workplace.run(words);
    EXPECT_EQ(result.exit_code, 2) << message;
    EXPECT_THAT(result.err, HasSubstr(message));
  }
  EXPECT_FALSE(fs::exists(workplace.path() / "outputs"));
}

}  // namespace
}  // namespace attnlab::e2e
