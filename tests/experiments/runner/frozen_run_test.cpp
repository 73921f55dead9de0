#include "experiments/runner/frozen_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "experiments/config/load_yaml.h"
#include "experiments/process/files.h"
#include "experiments/runner/journal_lines.h"
#include "kernels/core/error.h"
#include "tests/experiments/runner/temporary_folder.h"

namespace attnlab::runner {
namespace {

using testing::HasSubstr;

Trial make_trial(const std::string& trial_id, int seed) {
  Trial trial;
  trial.trial_id = trial_id;
  trial.config_yaml =
      "variant:\n  name: flash\nseed: " + std::to_string(seed) + "\nrun:\n  isolation: none\n";
  trial.config = config::parse_trial(config::parse_yaml(trial.config_yaml, "test"));
  trial.options_json = "{}";
  trial.config_hash = "hash" + std::to_string(seed);
  trial.repro = "./attnlab run 'a \"b\"'";
  return trial;
}

FrozenRun make_run() {
  return {"id", {"/a b.so"}, {"seed=1,2", "run.dir=x"}, {make_trial("1", 1), make_trial("2", 2)}};
}

std::string refusal(const std::filesystem::path& folder) {
  try {
    read_frozen_run(folder);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(FrozenRun, ReadsBack) {
  const TemporaryFolder folder;
  write_frozen_run(".", make_run());
  const FrozenRun run = read_frozen_run(".");
  EXPECT_EQ(run.run_id, "id");
  EXPECT_EQ(run.plugins, make_run().plugins);
  EXPECT_EQ(run.overrides, make_run().overrides);
  ASSERT_EQ(run.trials.size(), 2u);
  EXPECT_EQ(run.trials[1].trial_id, "2");
  EXPECT_EQ(run.trials[1].config.seed, 2u);
  EXPECT_EQ(run.trials[1].config_yaml, make_run().trials[1].config_yaml);
  EXPECT_EQ(run.trials[1].repro, make_run().trials[1].repro);
  EXPECT_EQ(run_config(run).isolation, "none");
  EXPECT_NO_THROW(check_same_trials(run.trials, make_run().trials));
}

TEST(FrozenRun, WhatIsNoRunIsRefusedInWords) {
  const TemporaryFolder folder;
  EXPECT_THAT(refusal("missing"), HasSubstr("no such folder"));
  EXPECT_THAT(refusal("."), HasSubstr("holds no jobs.jsonl"));
}

TEST(FrozenRun, AnyCutOrFlippedBitIsRefusedWithItsLine) {
  const TemporaryFolder folder;
  write_frozen_run(".", make_run());
  const std::string text = read_text("jobs.jsonl");
  const auto write = [](const std::string& damaged) {
    std::ofstream("jobs.jsonl", std::ios::binary) << damaged;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string flipped = text;
    flipped[i] = static_cast<char>(flipped[i] ^ (1 << (i % 8)));
    write(flipped);
    ASSERT_THAT(refusal("."), HasSubstr("is damaged")) << "bit of byte " << i;
    write(text.substr(0, i));
    ASSERT_THAT(refusal("."), HasSubstr("is damaged")) << "cut at " << i;
  }
  write(text + seal_line({{"a", 1}}));
  EXPECT_THAT(refusal("."), HasSubstr("jobs.jsonl:3 is damaged (more lines than trials)"));
}

TEST(FrozenRun, ALaterFormatIsRefused) {
  const TemporaryFolder folder;
  process::write_file("jobs.jsonl", seal_line({{"format", 99}}));
  EXPECT_THAT(refusal("."), HasSubstr("has format 99"));
}

TEST(FrozenRun, TheFirstDifferenceIsNamed) {
  const auto difference = [](std::vector<Trial> composed) -> std::string {
    try {
      check_same_trials(make_run().trials, composed);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(difference({make_trial("1", 1)}), HasSubstr("it has 2 trials, these are 1"));
  EXPECT_THAT(difference({make_trial("1", 1), make_trial("2", 7)}),
              HasSubstr("of trial 2 (2) seed was 2 and is 7."));
  EXPECT_THAT(difference({make_trial("other", 1), make_trial("2", 7)}),
              HasSubstr("of trial 1 (1) was 1 and is other."));
}

}  // namespace
}  // namespace attnlab::runner
