// Whatever a variant does, its trial becomes a row that says so, and the run goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "analysis/record.h"
#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

using analysis::Status;
using testing::HasSubstr;

struct Case {
  const char* how;
  Status status;
  const char* reason;
  std::vector<std::string> more = {};
};

class Misbehaviour : public testing::TestWithParam<Case> {};

TEST_P(Misbehaviour, IsARowAndTheRunGoesOn) {
  const Case& c = GetParam();
  const Workplace workplace;
  std::vector<std::string> words = {std::string("variant=misbehaving"),
                                    std::string("+variant.how=") + c.how,
                                    "seed=1,2",
                                    "run.dir=here",
                                    "--plugin",
                                    ATTNLAB_MISBEHAVING_PLUGIN};
  words.insert(words.end(), c.more.begin(), c.more.end());
  const Result result = workplace.run(tiny(words));
  EXPECT_EQ(result.exit_code, 3) << result.err;
  const auto records = analysis::read_records(workplace.path() / "here/results.csv");
  ASSERT_FALSE(records.empty()) << result.err;
  for (const analysis::Record& record : records) {
    EXPECT_EQ(record.status, c.status) << record.reason;
    EXPECT_THAT(record.reason, HasSubstr(c.reason));
    EXPECT_EQ(record.variant, "misbehaving");
    EXPECT_FALSE(record.time_median_ms);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ways, Misbehaviour,
    testing::Values(Case{"throw", Status::kFailed, "the bug of the test"},
                    Case{"terminate", Status::kCrashed, "signal 6"},
                    Case{"abort", Status::kCrashed, "signal 6"},
                    Case{"segv", Status::kCrashed, "signal 11 (Segmentation fault)"},
                    Case{"exit7", Status::kCrashed, "exited with code 7"},
                    Case{"exit0", Status::kFailed, "without a whole result: received nothing"},
                    Case{"hang", Status::kTimeout, "limits.time_s is 0.5", {"limits.time_s=0.5"}},
                    Case{"memory", Status::kOom, "its process held", {"limits.memory=1MiB"}},
                    Case{"close", Status::kCrashed, "exited with code 1"},
                    Case{"shape", Status::kFailed, "[1, 2, 3]"},
                    Case{"not_a_number", Status::kWrong, "relative L2 error inf"}),
    [](const auto& test) { return std::string(test.param.how); });

TEST(Misbehaviour, TrialsAfterACrashAreMeasured) {
  const Workplace workplace;
  const Result result =
      workplace.run(tiny({"variant=misbehaving", "+variant.how=segv,throw", "run.dir=here",
                          "--plugin", ATTNLAB_MISBEHAVING_PLUGIN}));
  EXPECT_EQ(result.exit_code, 3) << result.err;
  const auto records = analysis::read_records(workplace.path() / "here/results.csv");
  ASSERT_EQ(records.size(), 2u) << result.err;
  EXPECT_EQ(records[0].status, Status::kCrashed);
  EXPECT_EQ(records[1].status, Status::kFailed);
}

TEST(Misbehaviour, AGibibyteOfOutputIsCutAndTheTrialIsMeasured) {
  const Workplace workplace;
  const Result result = workplace.run(
      tiny({"variant=misbehaving", "+variant.how=output", "measure.max_samples=1",
            "measure.min_samples=1", "run.dir=here", "--plugin", ATTNLAB_MISBEHAVING_PLUGIN}));
  const auto records = analysis::read_records(workplace.path() / "here/results.csv");
  ASSERT_EQ(records.size(), 1u) << result.err;
  std::uintmax_t log_bytes = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(workplace.path() / "here/trials")) {
    if (entry.is_regular_file()) log_bytes += entry.file_size();
  }
  EXPECT_GT(log_bytes, 500'000u);
  EXPECT_LT(log_bytes, 2'000'000u);
}

/// The processes whose command line has `word`.
std::vector<pid_t> processes_with(const std::string& word) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "cmdline");
    const std::string text(std::istreambuf_iterator<char>(file), {});
    if (text.find(word) != std::string::npos) found.push_back(std::stoi(name));
  }
  return found;
}

/// A run whose trial hangs, in the way of `how`.
Process start_hanging(const Workplace& workplace, const std::string& how) {
  std::vector<std::string> words = {ATTNLAB_PROGRAM};
  for (const std::string& word : tiny({"variant=misbehaving", "+variant.how=" + how, "run.dir=here",
                                       "--plugin", ATTNLAB_MISBEHAVING_PLUGIN})) {
    words.push_back(word);
  }
  return {words, workplace.path()};
}

/// Waits until there is a process with `word`, or none.
bool becomes(bool there, const std::string& word) {
  for (int i = 0; i < 1500 && processes_with(word).empty() == there; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return processes_with(word).empty() != there;
}

TEST(Misbehaviour, AKilledRunTakesItsWorkerAlong) {
  const Workplace workplace;
  Process run = start_hanging(workplace, "hang");
  const std::string worker = "worker" + std::string(1, '\0') + std::to_string(run.pid());
  ASSERT_TRUE(becomes(true, worker));
  run.send(SIGKILL);
  EXPECT_EQ(run.wait().exit_code, 128 + SIGKILL);
  EXPECT_TRUE(becomes(false, worker));
}

TEST(Misbehaviour, AnInterruptedRunTakesAlongWhatItsWorkerStarted) {
  const Workplace workplace;
  Process run = start_hanging(workplace, "child");
  const std::string sleeper = "3599." + std::to_string(run.pid());
  ASSERT_TRUE(becomes(true, sleeper));
  run.send(SIGINT);
  EXPECT_EQ(run.wait().exit_code, 130);
  EXPECT_TRUE(becomes(false, sleeper));
}

}  // namespace
}  // namespace attnlab::e2e
