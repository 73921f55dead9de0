#include "experiments/cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "experiments/root.h"
#include "kernels/core/error.h"

namespace attnlab::cli {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;

std::vector<std::string> words_for(const std::vector<std::string>& words) {
  return complete(words).words;
}

/// A tree of configs that has nothing to do with attnlab.
class ForeignTree : public testing::Test {
 protected:
  ForeignTree() : dir_(std::filesystem::temp_directory_path() / "completion_test_XXXXXX") {
    std::string name = dir_.string();
    dir_ = ::mkdtemp(name.data());
    write("config.yaml", "defaults: [{db: mysql}]\nport: 1\nfast: true\nhome: ${oc.env:HOME}\n");
    write("other.yaml", "x: 1\n");
    write("db/mysql.yaml", "driver: m\n");
    write("db/sqlite.yaml", "driver: s\nfile: f\n");
  }
  ~ForeignTree() override { std::filesystem::remove_all(dir_); }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((dir_ / name).parent_path());
    std::ofstream(dir_ / name) << text;
  }
  std::vector<std::string> compose(std::vector<std::string> words) const {
    words.insert(words.begin(), {"compose", "--config-dir", dir_.string()});
    return words_for(words);
  }
  std::filesystem::path dir_;
};

TEST(Complete, CommandsAndTheirFlags) {
  EXPECT_THAT(words_for({""}), IsSupersetOf({"run", "compose", "list", "check", "completion",
                                             "explain-key", "data", "test", "bench", "--help"}));
  EXPECT_THAT(words_for({"co"}), ElementsAre("compose", "completion"));
  EXPECT_THAT(words_for({"run", "--ret"}), ElementsAre("--retry"));
  EXPECT_THAT(words_for({"compose", "--ret"}), IsEmpty());
  EXPECT_THAT(words_for({"nonsense", "--"}), IsEmpty());
}

TEST(Complete, TheLaunchersOwnCommandsAreThoseOfTheLauncher) {
  std::ifstream file(project_root() / "attnlab");
  const std::string launcher((std::istreambuf_iterator<char>(file)), {});
  const std::vector<std::string> own = command_names();
  for (const std::string& word : words_for({""})) {
    if (word.starts_with("-") || std::ranges::find(own, word) != own.end()) continue;
    EXPECT_THAT(launcher, HasSubstr("\n  " + word + ") shift;")) << word;
  }
  EXPECT_THAT(words_for({""}), IsSupersetOf({"test", "bench", "build"}));
}

TEST(Complete, ValuesOfFlags) {
  EXPECT_THAT(words_for({"run", "--retry", "o"}), ElementsAre("oom"));
  EXPECT_THAT(words_for({"run", "--info=defaults-"}), ElementsAre("--info=defaults-tree"));
  EXPECT_THAT(words_for({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(words_for({"run", "--config-name", ""}), ElementsAre("config"));
  EXPECT_THAT(words_for({"run", "--jobs", ""}), IsEmpty());
  EXPECT_THAT(words_for({"run", "--package", "sha"}), Contains("shape"));
  EXPECT_THAT(words_for({"explain-key", "shape.seqlen_"}),
              ElementsAre("shape.seqlen_q", "shape.seqlen_k"));
  EXPECT_THAT(words_for({"explain-key", "seed", "dtype=b"}), ElementsAre("dtype=bfloat16"));
}

TEST(Complete, KeysGroupsAndTheirValues) {
  EXPECT_THAT(words_for({"run", "shape.seqlen"}),
              ElementsAre("shape.seqlen=", "shape.seqlen_k=", "shape.seqlen_q="));
  EXPECT_THAT(words_for({"run", "exp"}), ElementsAre("experiment="));
  EXPECT_THAT(words_for({"run", "experiment=quickstart_"}),
              ElementsAre("experiment=quickstart_smoke"));
  EXPECT_THAT(words_for({"run", "seed=1", "causal="}), ElementsAre("causal=true", "causal=false"));
  EXPECT_THAT(words_for({"run", "dtype=f"}),
              ElementsAre("dtype=float32", "dtype=float64", "dtype=float16"));
  EXPECT_THAT(words_for({"run", "no.such.key="}), IsEmpty());
}

TEST(Complete, AListGoesOnAfterItsComma) {
  EXPECT_THAT(words_for({"run", "variant=flash,fu"}), ElementsAre("variant=flash,full"));
  EXPECT_THAT(words_for({"run", "variant=flash,"}), Each(StartsWith("variant=flash,")));
}

TEST(Complete, SignsStayAndARemovalTakesNoValue) {
  EXPECT_THAT(words_for({"run", "++shape.b"}), ElementsAre("++shape.batch="));
  EXPECT_THAT(words_for({"run", "~limits.m"}), ElementsAre("~limits.memory"));
}

TEST(Complete, TheOptionsOfTheVariantThatTheLineChooses) {
  EXPECT_THAT(words_for({"run", "variant.w"}), IsEmpty());
  EXPECT_THAT(words_for({"run", "variant=sliding_window", "variant.w"}),
              ElementsAre("variant.window="));
  EXPECT_THAT(words_for({"run", "--cfg", "job", "variant=sliding_window,full", "variant.w"}),
              ElementsAre("variant.window="));
  // Words that do not compose are no obstacle.
  EXPECT_THAT(words_for({"run", "no.such=1", "shape.bat"}), ElementsAre("shape.batch="));
  EXPECT_THAT(words_for({"run", "seed='", "shape.bat"}), ElementsAre("shape.batch="));
}

TEST(Complete, TasksAndTheirKeys) {
  EXPECT_THAT(words_for({"data", "mq"}), ElementsAre("mqar"));
  EXPECT_THAT(words_for({"data", "mqar", "pa"}), ElementsAre("pairs="));
  EXPECT_THAT(words_for({"list", "ta"}), ElementsAre("tasks", "task"));
}

TEST_F(ForeignTree, IsCompletedFromItsOwnConfigs) {
  EXPECT_THAT(compose({""}), ElementsAre("db=", "db.driver=", "fast=", "home=", "port="));
  EXPECT_THAT(compose({"db=sqlite", "db."}), ElementsAre("db.driver=", "db.file="));
  EXPECT_THAT(compose({"db=mysql,"}), ElementsAre("db=mysql,mysql", "db=mysql,sqlite"));
  EXPECT_THAT(compose({"fast="}), ElementsAre("fast=true", "fast=false"));
  EXPECT_THAT(compose({"+db@backup=s"}), ElementsAre("+db@backup=sqlite"));
  EXPECT_THAT(compose({"--config-name", ""}), ElementsAre("config", "other"));
  EXPECT_THAT(compose({"--config-name", "other", ""}), ElementsAre("db=", "x="));
  EXPECT_THAT(compose({"-cn", "other", ""}), ElementsAre("db=", "x="));
  EXPECT_THAT(compose({"--explain-key", ""}), IsSupersetOf({"db", "db.driver", "port"}));
}

TEST_F(ForeignTree, WhatCannotBeReadGivesNothing) {
  write("config.yaml", "a: [");
  EXPECT_THAT(compose({""}), ElementsAre("db="));
  std::filesystem::remove_all(dir_);
  EXPECT_THAT(compose({""}), IsEmpty());
}

TEST(Complete, VariantsAndTheirOptionsForCheck) {
  EXPECT_THAT(words_for({"check", "sl"}), ElementsAre("sliding_window"));
  EXPECT_THAT(words_for({"check", "sliding_window", ""}), Contains("window="));
  EXPECT_THAT(words_for({"check", "no_such_variant", ""}), IsEmpty());
}

TEST(Complete, PathsAreLeftToTheShell) {
  EXPECT_EQ(complete({"run", "--resume", "out"}).paths, Completion::Paths::kFolders);
  EXPECT_EQ(complete({"run", "--plugin", ""}).paths, Completion::Paths::kFiles);
  EXPECT_EQ(complete({"run", "--plugin", "a.so", ""}).paths, Completion::Paths::kNone);
}

TEST(CompletionScript, NamesTheProgramAndKnowsThreeShells) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion_script(shell, "/a b/attnlab");
    EXPECT_THAT(script, HasSubstr("'/a b/attnlab' ")) << shell;
    EXPECT_THAT(script, Not(HasSubstr("PROGRAM"))) << shell;
  }
  EXPECT_THROW(completion_script("tcsh", "attnlab"), ConfigError);
}

}  // namespace
}  // namespace attnlab::cli
