#include "experiments/runner/resume.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/process/files.h"
#include "kernels/core/error.h"
#include "tests/experiments/runner/temporary_folder.h"

namespace attnlab::runner {
namespace {

using analysis::Status;
using testing::ElementsAre;

JournalEntry entry_of(Status status, const std::string& key = "key") {
  JournalEntry entry;
  entry.record.trial_id = "001_a";
  entry.record.status = status;
  entry.resume_key = key;
  return entry;
}

bool due(Status status, Retry retry, const std::string& key = "key") {
  const JournalEntry last = entry_of(status, key);
  return is_due(&last, "key", retry);
}

constexpr Status kAllStatuses[] = {Status::kOk,      Status::kUnsupported, Status::kOom,
                                   Status::kTimeout, Status::kCrashed,     Status::kFailed,
                                   Status::kWrong,   Status::kSkipped};

std::vector<Status> taken_by(Retry retry) {
  std::vector<Status> taken;
  for (const Status status : kAllStatuses) {
    if (due(status, retry)) taken.push_back(status);
  }
  return taken;
}

TEST(Resume, ATrialWithoutARowIsDue) {
  for (const Retry retry : {Retry::kNone, Retry::kFailed, Retry::kAll}) {
    EXPECT_TRUE(is_due(nullptr, "key", retry));
  }
}

TEST(Resume, EachRetryTakesItsStatuses) {
  EXPECT_THAT(taken_by(Retry::kNone), ElementsAre());
  EXPECT_THAT(taken_by(Retry::kFailed),
              ElementsAre(Status::kCrashed, Status::kFailed, Status::kWrong));
  EXPECT_THAT(taken_by(Retry::kOom), ElementsAre(Status::kOom));
  EXPECT_THAT(taken_by(Retry::kTimeout), ElementsAre(Status::kTimeout));
  EXPECT_EQ(taken_by(Retry::kAll).size(), 7u);
}

TEST(Resume, RowsOfAnotherBuildAreKeptExceptByRetryAll) {
  EXPECT_FALSE(due(Status::kOk, Retry::kNone, "old"));
  EXPECT_FALSE(due(Status::kOk, Retry::kFailed, "old"));
  EXPECT_TRUE(due(Status::kOk, Retry::kAll, "old"));
  EXPECT_FALSE(due(Status::kOk, Retry::kAll));
}

TEST(Resume, ThePlanKeepsTheOrderAndCountsRowsOfAnotherBuild) {
  const TemporaryFolder folder;
  std::vector<Trial> trials(4);
  for (std::size_t i = 0; i < trials.size(); ++i) {
    trials[i].trial_id = std::to_string(i);
    trials[i].resume_key = "key";
  }
  Journal journal(folder.path(), trial_ids(trials));
  for (const auto& [id, key] : {std::pair{"1", "old"}, std::pair{"2", "key"}}) {
    JournalEntry entry = entry_of(Status::kOk, key);
    entry.record.trial_id = id;
    journal.append(entry);
  }
  const ResumePlan plan = plan_resume(trials, journal, Retry::kNone);
  EXPECT_THAT(trial_ids(plan.due), ElementsAre("0", "3"));
  EXPECT_EQ(plan.kept_of_another_build, 1u);
  const ResumePlan all = plan_resume(trials, journal, Retry::kAll);
  EXPECT_THAT(trial_ids(all.due), ElementsAre("0", "1", "3"));
  EXPECT_EQ(all.kept_of_another_build, 0u);
}

TEST(Resume, TheSuggestedRetryIsTheNarrowest) {
  const auto suggested = [](std::initializer_list<Status> statuses) {
    std::vector<analysis::Record> records;
    for (const Status status : statuses) records.push_back(entry_of(status).record);
    return suggested_retry(records);
  };
  EXPECT_EQ(suggested({Status::kOk, Status::kUnsupported, Status::kSkipped}), Retry::kNone);
  EXPECT_EQ(suggested({Status::kOk, Status::kOom, Status::kOom}), Retry::kOom);
  EXPECT_EQ(suggested({Status::kCrashed, Status::kWrong}), Retry::kFailed);
  EXPECT_EQ(suggested({Status::kTimeout}), Retry::kTimeout);
  EXPECT_EQ(suggested({Status::kTimeout, Status::kOom}), Retry::kAll);
}

TEST(Resume, CommandsAreQuoted) {
  EXPECT_EQ(resume_command("outputs/latest"), "./attnlab run --resume outputs/latest");
  EXPECT_EQ(resume_command("a b", Retry::kTimeout), "./attnlab run --resume 'a b' --retry timeout");
}

TEST(Resume, NamesOfRetries) {
  EXPECT_EQ(parse_retry(""), Retry::kNone);
  EXPECT_EQ(parse_retry("all"), Retry::kAll);
  EXPECT_THROW(parse_retry("ok"), ConfigError);
}

TEST(Resume, TheKeyDependsOnTrialVersionAndBuild) {
  Registry registry;
  register_builtin_variants(registry);
  const auto key = [&](const std::string& build, std::uint64_t seed) {
    std::vector<Trial> trials(1);
    trials[0].config.variant = "flash";
    trials[0].config.seed = seed;
    trials[0].options_json = "{}";
    set_resume_keys(trials, registry, build);
    return trials[0].resume_key;
  };
  EXPECT_EQ(key("a", 0), key("a", 0));
  EXPECT_NE(key("a", 0), key("b", 0));
  EXPECT_NE(key("a", 0), key("a", 1));
}

TEST(Resume, TheBuildDependsOnTheBytesOfPlugins) {
  const TemporaryFolder folder;
  const std::string program = build_id({});
  EXPECT_EQ(build_id({}), program);
  process::write_file("a.so", "one");
  const std::string with_plugin = build_id({"a.so"});
  EXPECT_NE(with_plugin, program);
  EXPECT_EQ(build_id({"a.so", "a.so"}), with_plugin);
  process::write_file("a.so", "two");
  EXPECT_NE(build_id({"a.so"}), with_plugin);
  EXPECT_THROW(build_id({"missing.so"}), OutputError);
}

}  // namespace
}  // namespace attnlab::runner
