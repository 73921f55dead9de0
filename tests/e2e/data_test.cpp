// `attnlab data` and `attnlab list tasks` as a user runs them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST(Data, SamplesAreJsonLinesOfIdsAndLabels) {
  const Workplace workplace;
  const Result result =
      workplace.run({"data", "mqar", "seqlen=32", "pairs=3", "vocab=40", "--samples", "7"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  const auto samples = json_lines(result.out);
  ASSERT_EQ(samples.size(), 7u);
  for (const auto& sample : samples) {
    EXPECT_EQ(sample.size(), 2u);
    const auto inputs = sample.at("inputs").get<std::vector<int>>();
    const auto labels = sample.at("labels").get<std::vector<int>>();
    ASSERT_EQ(inputs.size(), 32u);
    ASSERT_EQ(labels.size(), 32u);
    int asked = 0;
    for (std::size_t i = 0; i < 32; ++i) {
      if (labels[i] == -100) continue;
      ++asked;
      // The pairs are key, value at the beginning.
      for (std::size_t j = 0; j < 6; j += 2) {
        if (inputs[j] != inputs[i]) continue;
        EXPECT_EQ(inputs[j + 1], labels[i]);
      }
    }
    EXPECT_EQ(asked, 3);
  }
}

TEST(Data, TheSameWordsGiveTheSameBytes) {
  const Workplace workplace;
  const auto dump = [&](const std::string& prefix, const std::string& more) {
    return workplace.shell(prefix + " attnlab data listops_short seed=4 --samples 50 " + more).out;
  };
  const std::string first = dump("", "");
  EXPECT_EQ(first, dump("OMP_NUM_THREADS=1 LC_ALL=C", ""));
  EXPECT_NE(first, dump("", "--split test"));
  ASSERT_EQ(dump("", "--out samples.jsonl"), "");
  EXPECT_EQ(read_text(workplace.path() / "samples.jsonl"), first);
  EXPECT_FALSE(std::filesystem::exists(workplace.path() / "samples.jsonl.partial"));
}

TEST(Data, TrainAndTestShareNoInputs) {
  const Workplace workplace;
  std::set<std::string> seen;
  std::size_t lines = 0;
  for (const char* split : {"train", "validation", "test"}) {
    const Result result = workplace.run({"data", "listops", "min_length=3", "max_length=7",
                                         "max_depth=2", "--samples", "500", "--split", split});
    std::set<std::string> part;
    for (const auto& sample : json_lines(result.out)) part.insert(sample.at("inputs").dump());
    lines += part.size();
    seen.merge(part);
  }
  EXPECT_EQ(seen.size(), lines);
  EXPECT_GT(lines, 600u);
}

TEST(Data, ListOpsHasOneLabelAndAVocabularyOf15Tokens) {
  const Workplace workplace;
  const auto samples = json_lines(workplace
                                      .run({"data", "listops", "min_length=16", "max_length=64",
                                            "max_depth=4", "max_args=5", "--samples", "20"})
                                      .out);
  ASSERT_EQ(samples.size(), 20u);
  for (const auto& sample : samples) {
    EXPECT_GT(sample.at("inputs").size(), 16u);
    EXPECT_LT(sample.at("inputs").size(), 64u);
    EXPECT_EQ(sample.at("labels").size(), 1u);
  }
  EXPECT_EQ(workplace.run({"data", "listops", "--vocab"}).out,
            "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n[MIN\n[MAX\n[MED\n[SM\n]\n");
}

TEST(Data, EveryTaskHasHelpAndLevels) {
  const Workplace workplace;
  const auto tasks = nlohmann::json::parse(workplace.run({"list", "tasks", "--json"}).out);
  ASSERT_GE(tasks.size(), 14u);
  const std::string text = workplace.run({"list", "tasks"}).out;
  for (const auto& task : tasks) {
    const std::string name = task.at("name");
    EXPECT_THAT(text, HasSubstr(name));
    const Result help = workplace.run({"data", name, "--help"});
    EXPECT_EQ(help.exit_code, 0) << help.err;
    EXPECT_THAT(help.out, AllOf(HasSubstr("seed=0"), HasSubstr("Usage: attnlab data")));
    if (!task.contains("keys")) continue;
    for (const auto& key : task.at("keys")) {
      EXPECT_THAT(help.out, HasSubstr(key.at("name").get<std::string>() + "="));
    }
    const Result levels = workplace.run({"data", name, "--levels", "--samples", "20"});
    EXPECT_EQ(levels.exit_code, 0) << levels.err;
    EXPECT_THAT(levels.out, AllOf(HasSubstr("chance"), HasSubstr("most_frequent")));
  }
  EXPECT_THAT(workplace.run({"data", "--help"}).out,
              AllOf(HasSubstr("mqar"), HasSubstr("--split")));
}

// The config group and the program know the same tasks, and every preset can be made.
TEST(Data, EveryConfigOfTheGroupGivesSamples) {
  const Workplace workplace;
  std::set<std::string> configs;
  for (const auto& config : nlohmann::json::parse(workplace.run({"list", "task", "--json"}).out)) {
    configs.insert(config.at("name"));
  }
  for (const auto& task : nlohmann::json::parse(workplace.run({"list", "tasks", "--json"}).out)) {
    const std::string name = task.at("name");
    EXPECT_EQ(configs.erase(name), 1u) << name << " has no config";
    const Result result = workplace.run({"data", name, "--samples", "1", "--split", "test"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(json_lines(result.out).size(), 1u) << name;
  }
  EXPECT_TRUE(configs.empty()) << *configs.begin() << " is no task";
}

// So that task=mqar task.pairs=8 needs no plus sign, and the defaults are those of the program.
TEST(Data, EveryConfigOfTheGroupHasAllKeys) {
  const Workplace workplace;
  const auto tasks = nlohmann::json::parse(workplace.run({"list", "tasks", "--json"}).out);
  std::map<std::string, nlohmann::json> keys;
  for (const auto& task : tasks) {
    if (task.contains("keys")) keys[task.at("name")] = task.at("keys");
  }
  for (const auto& task : tasks) {
    const std::string name = task.at("name");
    const std::string text =
        workplace.run({"run", "--cfg", "job", "--package", "task", "task=" + name}).out;
    const bool plain = task.contains("keys");
    for (const auto& key : keys.at(plain ? name : std::string(task.at("task")))) {
      const std::string begin = "\n" + std::string(key.at("name")) + ": ";
      const auto& value = key.at("default");
      const std::string shown = value.is_string() ? std::string(value) : value.dump();
      EXPECT_THAT(text, HasSubstr(plain && !shown.empty() ? begin + shown : begin)) << name;
    }
  }
}

TEST(Data, MoreThanThereIsIsRefused) {
  const Workplace workplace;
  const Result result = workplace.run({"data", "text", "--split", "test", "--samples", "100000"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("more than the part 'test' has"));
}

TEST(Data, APresetIsItsTaskWithOtherValues) {
  const Workplace workplace;
  EXPECT_EQ(
      workplace.run({"data", "listops_short"}).out,
      workplace
          .run({"data", "listops", "min_length=16", "max_length=64", "max_depth=4", "max_args=5"})
          .out);
  std::filesystem::create_directories(workplace.path() / "own" / "task");
  const auto preset = workplace.path() / "own" / "task" / "tiny.yaml";
  std::ofstream(preset) << "# Tiny.\nname: mqar\nseqlen: 8\npairs: 2\n";
  EXPECT_EQ(workplace.run({"data", "tiny", "seed=1", "--config-dir", "own"}).out,
            workplace.run({"data", "mqar", "seqlen=8", "pairs=2", "seed=1"}).out);
  std::ofstream(preset) << "name: mqar\nseqln: 8\n";
  const Result wrong = workplace.run({"data", "tiny", "--config-dir", "own"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("'seqlen'"));
}

TEST(Data, MistakesAreExitCode2InWords) {
  const Workplace workplace;
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"mqr"}, "Did you mean 'mqar'?"},
      {{"mqar", "pair=3"}, "Did you mean 'pairs'?"},
      {{"mqar", "pairs=17"}, "4 * pairs <= seqlen"},
      {{"mqar", "vocab=64"}, "vocab > seqlen"},
      {{"mqar", "seqlen=many"}, "int from 4"},
      {{"mqar", "pairs"}, "KEY=VALUE"},
      {{"listops", "max_depth=0"}, "int from 1"},
      {{"mqar", "--sample", "3"}, "Did you mean '--samples'?"},
      {{"mqar", "--samples", "0"}, "not in range"},
      {{"mqar", "--split", "tests"}, "train,validation,test"},
      {{}, "no task given"},
  };
  for (const auto& [words, message] : cases) {
    std::vector<std::string> line = {"data"};
    line.insert(line.end(), words.begin(), words.end());
    const Result result = workplace.run(line);
    EXPECT_EQ(result.exit_code, 2) << message;
    EXPECT_EQ(result.out, "") << message;
    EXPECT_THAT(result.err, HasSubstr(message));
  }
}

TEST(Data, WhatCannotBeWrittenIsExitCode1AndTheOldFileStays) {
  const Workplace workplace;
  EXPECT_EQ(workplace.run({"data", "mqar", "--out", "no_folder/samples.jsonl"}).exit_code, 1);
  const Result full = workplace.run({"data", "mqar", "--out", "/dev/full"});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(full.err, HasSubstr("No space left"));
  EXPECT_EQ(workplace.shell("attnlab data mqar > /dev/full").exit_code, 1);

  std::ofstream(workplace.path() / "old.jsonl") << "kept\n";
  const Result limited = workplace.shell(
      "ulimit -f 16; trap '' XFSZ; attnlab data mqar --samples 1000 --out old.jsonl");
  EXPECT_EQ(limited.exit_code, 1) << limited.err;
  EXPECT_EQ(read_text(workplace.path() / "old.jsonl"), "kept\n");
  EXPECT_FALSE(std::filesystem::exists(workplace.path() / "old.jsonl.partial"));
}

// Without an end to the reading, this many samples would take an hour.
TEST(Data, AReaderThatGoesAwayEndsTheProgram) {
  const Workplace workplace;
  const Result result =
      workplace.shell("attnlab data mqar --samples 1000000000 | head -n 1; echo ${PIPESTATUS[0]}");
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, AllOf(HasSubstr("inputs"), testing::EndsWith("\n0\n")));
}

}  // namespace
}  // namespace attnlab::e2e
