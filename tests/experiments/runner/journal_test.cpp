#include "experiments/runner/journal.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "analysis/csv.h"
#include "kernels/core/error.h"
#include "tests/experiments/runner/temporary_folder.h"

namespace attnlab::runner {
namespace {

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

TEST(Journal, ATornTailIsNotARecord) {
  const TemporaryFolder folder;
  {
    Journal journal(folder.path());
    journal.append(make_record("001_a"), {});
  }
  std::ofstream("results.jsonl", std::ios::app) << R"({"trial_id":"002)";
  EXPECT_EQ(read_journal("results.jsonl").size(), 1u);
}

TEST(Journal, ABrokenLineIsAnErrorWithItsNumber) {
  const TemporaryFolder folder;
  std::ofstream("results.jsonl") << "{\"trial_id\":\"001_a\",\"status\":\"ok\"}\nnonsense\n";
  try {
    read_journal("results.jsonl");
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("results.jsonl:2:"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace attnlab::runner
