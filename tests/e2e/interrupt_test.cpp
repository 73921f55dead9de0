// Ctrl-C in the middle of a run, and a second runner on the same folder meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "analysis/record.h"
#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Two quick trials, then one that would run for an hour.
Process start_long_run(const Workplace& workplace) {
  std::vector<std::string> words = {ATTNLAB_PROGRAM};
  for (const std::string& word :
       tiny({"run.dir=here", "measure.rel_width=0", "measure.max_samples=1000000",
             "measure.max_time_s=0.01,0.02,3600"})) {
    words.push_back(word);
  }
  return {words, workplace.path()};
}

/// Waits until the journal has `count` lines.
void wait_for_lines(const fs::path& journal, std::ptrdiff_t count) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!fs::exists(journal) || std::ranges::count(read_text(journal), '\n') < count) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline)
        << "the run does not come to its third trial";
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

class Interrupt : public testing::TestWithParam<int> {};

TEST_P(Interrupt, EndsAtOnceWithTheFinishedRows) {
  const Workplace workplace;
  Process process = start_long_run(workplace);
  wait_for_lines(workplace.path() / "here/results.jsonl", 2);

  // Its stdout and stderr go elsewhere: the first one still writes to the workplace's files.
  const Workplace other;
  const Result second = other.run({"run", "run.dir=" + (workplace.path() / "here").string()});
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.err, HasSubstr("in use by another runner"));

  process.send(GetParam());
  const Result result = process.wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.err, HasSubstr("interrupted after 2 of 3 trials"));
  const auto records = analysis::read_records(workplace.path() / "here/results.csv");
  ASSERT_EQ(records.size(), 2u);
  for (const analysis::Record& record : records) EXPECT_EQ(record.status, analysis::Status::kOk);
}

INSTANTIATE_TEST_SUITE_P(Signals, Interrupt, testing::Values(SIGINT, SIGTERM));

}  // namespace
}  // namespace attnlab::e2e
