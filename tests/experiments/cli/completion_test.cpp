#include "experiments/cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

Completion completion_of(const std::vector<std::string>& words) {
  return complete(words, {project_root() / "configs"});
}

std::vector<std::string> words_for(const std::vector<std::string>& words) {
  return completion_of(words).words;
}

TEST(Complete, CommandsAndTheirFlags) {
  EXPECT_THAT(words_for({""}), IsSupersetOf({"run", "compose", "list", "check", "completion"}));
  EXPECT_THAT(words_for({"co"}), ElementsAre("compose", "completion"));
  EXPECT_THAT(words_for({"run", "--re"}), ElementsAre("--resume", "--retry"));
  EXPECT_THAT(words_for({"compose", "--re"}), IsEmpty());
  EXPECT_THAT(words_for({"nonsense", "--"}), IsEmpty());
  EXPECT_THAT(words_for({"run", "--retry", "o"}), ElementsAre("oom"));
  EXPECT_THAT(words_for({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
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

TEST(Complete, VariantsAndTheirOptionsForCheck) {
  EXPECT_THAT(words_for({"check", "sl"}), ElementsAre("sliding_window"));
  EXPECT_THAT(words_for({"check", "sliding_window", ""}), Contains("window="));
  EXPECT_THAT(words_for({"check", "no_such_variant", ""}), IsEmpty());
}

TEST(Complete, PathsAreLeftToTheShell) {
  EXPECT_EQ(completion_of({"run", "--resume", "out"}).paths, Completion::Paths::kFolders);
  EXPECT_EQ(completion_of({"run", "--plugin", ""}).paths, Completion::Paths::kFiles);
  EXPECT_EQ(completion_of({"run", "--plugin", "a.so", ""}).paths, Completion::Paths::kNone);
}

TEST(Complete, ConfigsThatCannotBeReadGiveNothing) {
  EXPECT_THAT(complete({"run", "experiment="}, {"/no/such/folder"}).words, IsEmpty());
}

TEST(CompletionScript, NamesTheProgramAndKnowsThreeShells) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion_script(shell, "/a b/attnlab");
    EXPECT_THAT(script, HasSubstr("'/a b/attnlab' complete")) << shell;
    EXPECT_THAT(script, Not(HasSubstr("PROGRAM"))) << shell;
  }
  EXPECT_THROW(completion_script("tcsh", "attnlab"), ConfigError);
}

}  // namespace
}  // namespace attnlab::cli
