// The scripts of `attnlab completion`, loaded by the shells that are installed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

using testing::HasSubstr;
using testing::Not;

bool installed(const std::string& shell) {
  return std::system(("command -v " + shell + " >/dev/null 2>&1").c_str()) == 0;
}

/// What a line that the script's function was asked about is completed with.
std::string bash_answer(const Workplace& workplace, const std::string& line) {
  const Result result = workplace.shell(
      "attnlab completion bash > script; bash -c '. ./script 2>/dev/null; COMP_LINE=\"" + line +
      "\"; COMP_POINT=${#COMP_LINE}; compopt() { :; }; _attnlab; "
      "printf \"%s\\n\" \"${COMPREPLY[@]}\"'");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  return result.out;
}

TEST(CompletionScripts, Bash) {
  const Workplace workplace;
  EXPECT_EQ(bash_answer(workplace, "attnlab chec"), "check\n");
  EXPECT_EQ(bash_answer(workplace, "attnlab run exp"), "experiment=\n");
  // What stands before '=' is not repeated: bash takes it for a word of its own.
  EXPECT_EQ(bash_answer(workplace, "attnlab run experiment=quickstart_s"), "quickstart_smoke\n");
  EXPECT_EQ(bash_answer(workplace, "attnlab run variant=flash,ful"), "flash,full\n");
  EXPECT_EQ(bash_answer(workplace, "./attnlab run --info=defaults-"), "defaults-tree\n");
  EXPECT_THAT(bash_answer(workplace, "attnlab run --resume s"), Not(HasSubstr(":folders")));
  EXPECT_THAT(bash_answer(workplace, "attnlab run --plugin s"), HasSubstr("script\n"));
  EXPECT_EQ(bash_answer(workplace, "attnlab run --nothing-like-this"), "\n");
}

TEST(CompletionScripts, Zsh) {
  if (!installed("zsh")) GTEST_SKIP() << "zsh is not installed";
  const Workplace workplace;
  const Result result = workplace.shell(
      "attnlab completion zsh > script; zsh -f -c 'compdef() { :; }; compadd() { print -- $@ }; . "
      "./script; "
      "words=(attnlab run experiment=quickstart_s); CURRENT=3; _attnlab; words=(attnlab run exp); "
      "_attnlab'");
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out, "-- experiment=quickstart_smoke\n-S -- experiment=\n");
}

TEST(CompletionScripts, ZshWithoutItsCompletionLoadsIt) {
  if (!installed("zsh")) GTEST_SKIP() << "zsh is not installed";
  const Workplace workplace;
  const Result result = workplace.shell(
      "attnlab completion zsh > _attnlab; zsh -f -c '. ./_attnlab; print $_comps[attnlab]'; "
      "zsh -f -c 'fpath=($PWD $fpath); autoload -Uz compinit; compinit -i -D; print "
      "$_comps[attnlab]'");
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out, "_attnlab\n_attnlab\n");
}

TEST(CompletionScripts, Fish) {
  if (!installed("fish")) GTEST_SKIP() << "fish is not installed";
  const Workplace workplace;
  const Result result = workplace.shell(
      "attnlab completion fish > script; HOME=$PWD fish -N -c 'source ./script; "
      "complete -C \"attnlab run experiment=quickstart_s\"; complete -C \"attnlab chec\"'");
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out, "experiment=quickstart_smoke\ncheck\n");
}

TEST(CompletionScripts, AnUnknownShellIsRefused) {
  const Workplace workplace;
  const Result result = workplace.run({"completion", "tcsh"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("Known: bash, zsh, fish"));
}

}  // namespace
}  // namespace attnlab::e2e
