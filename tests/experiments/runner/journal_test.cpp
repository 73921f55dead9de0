#include "experiments/runner/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <sstream>

#include "analysis/csv.h"
#include "kernels/core/error.h"
#include "tests/experiments/runner/temporary_folder.h"

namespace attnlab::runner {
namespace {

using testing::HasSubstr;

analysis::Record make_record(const std::string& trial_id) {
  analysis::Record record;
  record.trial_id = trial_id;
  record.status = analysis::Status::kOk;
  record.options = "{\"window\":256}";
  record.reason = "with a comma, a \"quote\"\nand a second line";
  record.time_median_ms = 0.1;
  record.error_out = std::numeric_limits<double>::infinity();
  return record;
}

TEST(Journal, LinesAndCsvReadBackAsTheSameRecords) {
  const TemporaryFolder folder;
  std::vector<analysis::Record> expected;
  {
    Journal journal(folder.path());
    for (const char* id : {"001_a", "002_b", "003_c"}) {
      expected.push_back(make_record(id));
      journal.append(expected.back(), {});
      expected.back().attempt = 1;
      // The view is complete after every trial, not only at the end.
      EXPECT_EQ(analysis::read_records(journal.csv_path()), expected);
      EXPECT_EQ(read_journal(folder.path() / "results.jsonl"), expected);
    }
  }
}

TEST(Journal, AnEmptyRunHasAHeader) {
  const TemporaryFolder folder;
  const Journal journal(folder.path());
  EXPECT_EQ(analysis::read_csv(journal.csv_path()).rows.size(), 0u);
  EXPECT_EQ(read_text("samples.csv"), "trial_id,sample,time_ms\n");
}

TEST(Journal, SamplesAreNumberedPerTrial) {
  const TemporaryFolder folder;
  Journal journal(folder.path());
  journal.append(make_record("001_a"), {0.5, 0.25});
  journal.append(make_record("002_b"), {});
  journal.append(make_record("003_c"), {1.5});
  EXPECT_EQ(read_text("samples.csv"),
            "trial_id,sample,time_ms\n001_a,0,0.5\n001_a,1,0.25\n003_c,0,1.5\n");
}

TEST(Journal, OpenedAgainItGoesOn) {
  const TemporaryFolder folder;
  Journal(folder.path()).append(make_record("001_a"), {0.5});
  Journal journal(folder.path());
  ASSERT_NE(journal.find("001_a"), nullptr);
  EXPECT_EQ(journal.find("001_a")->samples_ms, std::vector<double>{0.5});
  EXPECT_EQ(journal.find("002_b"), nullptr);
  journal.append(make_record("002_b"), {1.5});
  EXPECT_EQ(analysis::read_records(journal.csv_path()), journal.records());
  EXPECT_EQ(journal.records().size(), 2u);
  EXPECT_EQ(read_text("samples.csv"), "trial_id,sample,time_ms\n001_a,0,0.5\n002_b,0,1.5\n");
  EXPECT_FALSE(std::filesystem::exists("results.jsonl.torn"));
}

TEST(Journal, TheViewsAreInTheGivenOrderWithTheLastAttempts) {
  const TemporaryFolder folder;
  {
    Journal journal(folder.path(), {"001_a", "002_b", "003_c"});
    journal.append(make_record("003_c"), {3});
    journal.append(make_record("extra"), {});
    journal.append(make_record("001_a"), {1, 1, 1});
    journal.append(make_record("001_a"), {2, 2});
    EXPECT_EQ(journal.find("001_a")->record.attempt, 2);
  }
  const Journal journal(folder.path(), {"001_a", "002_b", "003_c"});
  const auto records = analysis::read_records(journal.csv_path());
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].trial_id, "001_a");
  EXPECT_EQ(records[0].attempt, 2);
  EXPECT_EQ(records[1].trial_id, "003_c");
  EXPECT_EQ(records[2].trial_id, "extra");
  EXPECT_EQ(read_text("samples.csv"), "trial_id,sample,time_ms\n001_a,0,2\n001_a,1,2\n003_c,0,3\n");
  EXPECT_EQ(read_journal("results.jsonl").size(), 3u);
  // All attempts stay in the file.
  EXPECT_EQ(parse_journal(read_text("results.jsonl")).entries.size(), 4u);
}

TEST(Journal, ATornTailIsKeptAsideAndSaid) {
  const TemporaryFolder folder;
  Journal(folder.path()).append(make_record("001_a"), {});
  const std::string whole = read_text("results.jsonl");
  std::ofstream("results.jsonl", std::ios::app) << R"({"trial_id":"002)";
  EXPECT_EQ(read_journal("results.jsonl").size(), 1u);
  std::ostringstream messages;
  Journal journal(folder.path(), {}, messages);
  EXPECT_THAT(messages.str(), HasSubstr("results.jsonl:2: the last line was not finished"));
  EXPECT_EQ(read_text("results.jsonl"), whole);
  EXPECT_EQ(read_text("results.jsonl.torn"), "{\"trial_id\":\"002\n");
  journal.append(make_record("002_b"), {});
  EXPECT_EQ(read_journal("results.jsonl").size(), 2u);
}

TEST(Journal, ADamagedLineIsKeptAsideAndSaidWithItsNumber) {
  const TemporaryFolder folder;
  {
    Journal journal(folder.path());
    for (const char* id : {"001_a", "002_b", "003_c"}) journal.append(make_record(id), {1});
  }
  std::string text = read_text("results.jsonl");
  const std::size_t at = text.find("002_b");
  text[at] ^= 1;
  std::ofstream("results.jsonl", std::ios::binary) << text;
  try {
    read_journal("results.jsonl");
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("results.jsonl:2:"));
  }
  std::ostringstream messages;
  Journal journal(folder.path(), {"001_a", "002_b", "003_c"}, messages);
  EXPECT_THAT(messages.str(), HasSubstr("results.jsonl:2: damaged: its checksum is wrong"));
  EXPECT_EQ(journal.find("002_b"), nullptr);
  EXPECT_NE(journal.find("003_c"), nullptr);
  journal.append(make_record("002_b"), {2});
  EXPECT_EQ(read_text("samples.csv"), "trial_id,sample,time_ms\n001_a,0,1\n003_c,0,1\n002_b,0,2\n");
  EXPECT_EQ(journal.records()[1].trial_id, "002_b");
  EXPECT_EQ(journal.records()[1].attempt, 1);
}

}  // namespace
}  // namespace attnlab::runner
