// The tables of mistakes in configs and command lines (tests/experiments/config/bad), given to the
// program itself: the same words on stderr as from the parsers, exit code 2, nothing written.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tests/e2e/program.h"
#include "tests/experiments/config/bad_configs.h"

namespace attnlab::e2e {
namespace {

using config::BadConfig;

/// Refused by the command line's own reader before the config's, in other words.
const std::set<std::string> kReadByTheCommandLine = {"empty config name", "minus in front"};

/// Each start loads Torch (0.3 s), so a test run takes one case of this many; the config tests take
/// all. ATTNLAB_ALL_MISTAKES=1 makes it 1.
std::size_t stride() { return std::getenv("ATTNLAB_ALL_MISTAKES") == nullptr ? 9 : 1; }

void expect_message(const BadConfig& bad) {
  const Workplace workplace;
  const auto folder = workplace.path() / "mistake";
  std::filesystem::create_directory(folder);
  make_files(bad, folder);
  std::vector<std::string> words = config::words_of(bad.command);
  words.insert(words.begin() + 1, {"--config-dir", folder.string()});
  const Result result = workplace.run(words);
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(config::without_folders(result.err, folder, ATTNLAB_CONFIGS), bad.message + "\n");
  EXPECT_FALSE(std::filesystem::exists(workplace.path() / "outputs"));
}

TEST(Mistakes, OfTheTablesGetTheirMessagesFromTheProgram) {
  std::size_t number = 0, checked = 0;
  for (const auto& table : config::bad_config_tables()) {
    for (const BadConfig& bad : config::read_bad_configs(table)) {
      if (number++ % stride() != 0 || kReadByTheCommandLine.contains(bad.name)) continue;
      SCOPED_TRACE(table.filename().string() + ": " + bad.name);
      expect_message(bad);
      ++checked;
    }
  }
  EXPECT_GE(checked, 30u);
}

}  // namespace
}  // namespace attnlab::e2e
