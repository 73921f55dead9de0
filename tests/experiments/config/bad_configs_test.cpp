// Every mistake of the tables: refused as a ConfigError (exit code 2), with the message to the
// letter, one paragraph that says where.
#include "tests/experiments/config/bad_configs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <set>

#include "experiments/config/schema.h"
#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

/// What `attnlab run` and `attnlab compose` do with the config, up to the first trial.
void compose_all(const std::vector<std::string>& words, const ConfigDir& dir) {
  ComposeRequest request;
  request.config_dirs = {dir.path()};
  request.schema_free = words.front() == "compose";
  if (!request.schema_free) {
    request.config_dirs.emplace_back(ATTNLAB_CONFIGS);
    request.open_groups = {"variant"};
  }
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i] == "--config-name") {
      request.config_name = words.at(++i);
    } else {
      request.overrides.push_back(words[i]);
    }
  }
  for (const Job& job : compose(request)) {
    if (request.schema_free) continue;
    parse_run(job.config);
    parse_trial(job.config);
  }
}

std::string message_now(const BadConfig& bad) {
  ConfigDir dir;
  make_files(bad, dir.path());
  const std::string message = message_of([&] { compose_all(words_of(bad.command), dir); });
  return without_folders(message, dir.path(), ATTNLAB_CONFIGS);
}

/// Says what is wrong with a message whatever it says; "" for nothing.
std::string fault_of(const BadConfig& bad) {
  const std::string& message = bad.message;
  static const std::regex kPlace(
      R"(\.yaml:[\d_]+:[\d_]+: |override '|\.yaml: |--config-|in 'DIR')");
  if (!message.starts_with("[config] ")) return "does not start with [config]";
  if (message.find('\n') != std::string::npos) return "more than one paragraph";
  if (message.size() > 1200) return "too long to be read";
  if (!std::regex_search(message, kPlace)) return "names no place";
  for (const char* word :
       {"exception", "Exception", "std::", "logic_error", "<built in>", "basic_"}) {
    if (message.find(word) != std::string::npos) return std::string("speaks of ") + word;
  }
  return {};
}

TEST(BadConfigs, GetTheirMessages) {
  const bool update = std::getenv("ATTNLAB_UPDATE_GOLDEN") != nullptr;
  std::size_t count = 0;
  std::set<std::string> names;
  for (const auto& table : bad_config_tables()) {
    std::vector<BadConfig> cases = read_bad_configs(table);
    for (BadConfig& bad : cases) {
      SCOPED_TRACE(table.filename().string() + ": " + bad.name);
      EXPECT_TRUE(names.insert(bad.name).second) << "a name twice";
      const std::string now = message_now(bad);
      if (update) bad.message = now;
      EXPECT_EQ(now, bad.message);
      EXPECT_EQ(fault_of(bad), "") << bad.message;
    }
    count += cases.size();
    if (update) write_bad_configs(table, cases);
  }
  EXPECT_GE(count, 150u);
}

}  // namespace
}  // namespace attnlab::config
