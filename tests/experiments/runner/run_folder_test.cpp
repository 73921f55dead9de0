#include "experiments/runner/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "experiments/process/files.h"
#include "kernels/core/error.h"
#include "tests/experiments/runner/temporary_folder.h"

namespace attnlab::runner {
namespace {

namespace fs = std::filesystem;

TEST(RunFolder, DatedFoldersDifferAndLatestFollows) {
  const TemporaryFolder folder;
  const RunFolder first("", "quickstart");
  EXPECT_EQ(fs::canonical("outputs/latest"), fs::canonical(first.path()));
  const RunFolder second("", "quickstart");
  EXPECT_NE(first.path(), second.path());
  EXPECT_EQ(first.path().parent_path(), fs::path("outputs/quickstart"));
  EXPECT_THAT(first.path().filename().string(),
              testing::MatchesRegex("[0-9]+-[0-9]+-[0-9]+_[0-9]+-[0-9]+-[0-9]+"));
  EXPECT_EQ(fs::canonical("outputs/latest"), fs::canonical(second.path()));
  EXPECT_NE(first.run_id(), second.run_id());
}

TEST(RunFolder, ARunElsewhereLeavesLatestAlone) {
  const TemporaryFolder folder;
  const RunFolder first("", "quickstart");
  const RunFolder elsewhere("elsewhere/run", "quickstart");
  EXPECT_TRUE(fs::is_directory("elsewhere/run/trials"));
  EXPECT_EQ(fs::canonical("outputs/latest"), fs::canonical(first.path()));
  const RunFolder named("outputs/named", "quickstart");
  EXPECT_EQ(fs::canonical("outputs/latest"), fs::canonical("outputs/named"));
}

TEST(RunFolder, ASecondRunnerIsRefusedWhileTheFirstLives) {
  const TemporaryFolder folder;
  std::optional<RunFolder> first(std::in_place, "run", "none");
  try {
    const RunFolder second("run", "none");
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("in use by another runner"));
  }
  first.reset();
  EXPECT_NO_THROW(RunFolder("run", "none"));
}

TEST(RunFolder, EarlierResultsAreNeverOverwritten) {
  const TemporaryFolder folder;
  process::make_directories("run");
  process::write_file("run/results.jsonl", "{}\n");
  EXPECT_THROW(RunFolder("run", "none"), ConfigError);
  EXPECT_EQ(read_text("run/results.jsonl"), "{}\n");
}

TEST(RunFolder, AFolderThatCannotBeMadeIsAnOutputError) {
  const TemporaryFolder folder;
  process::write_file("file", "in the way");
  EXPECT_THROW(RunFolder("file/run", "none"), OutputError);
  EXPECT_THROW(RunFolder("/proc/attnlab", "none"), OutputError);
}

TEST(RunFolder, WritesConfigOverridesAndLogs) {
  const TemporaryFolder folder;
  const RunFolder run("run", "none");
  run.write_hydra("seed: 0\n", {"seed=0", "inputs='a: b'"});
  run.write_log("001_flash", "text");
  EXPECT_EQ(read_text("run/.hydra/config.yaml"), "seed: 0\n");
  EXPECT_EQ(read_text("run/.hydra/overrides.yaml"), "- \"seed=0\"\n- \"inputs='a: b'\"\n");
  EXPECT_EQ(read_text("run/trials/001_flash/log.txt"), "text");
  run.write_hydra("seed: 0\n", {});
  EXPECT_EQ(read_text("run/.hydra/overrides.yaml"), "[]\n");
}

TEST(RunFolder, UtcTime) { EXPECT_EQ(utc_time(1767268800), "2026-01-01T12:00:00Z"); }

}  // namespace
}  // namespace attnlab::runner
