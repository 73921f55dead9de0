#include "experiments/cli/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "kernels/core/error.h"

namespace attnlab::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Arguments parse(std::vector<const char*> words) {
  words.insert(words.begin(), "attnlab");
  return parse_arguments(static_cast<int>(words.size()), words.data());
}

std::string error_of(const std::vector<const char*>& words) {
  try {
    parse(words);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Arguments, OverridesPassUntouchedAndInOrder) {
  const Arguments arguments = parse({"run", "experiment=quickstart", "~key", "+a.b=[1, 2]",
                                     "++c=-1", "-x", "variant=full,flash", "list", "", "x='a b'"});
  EXPECT_EQ(arguments.command, Command::kRun);
  EXPECT_THAT(arguments.words, ElementsAre("experiment=quickstart", "~key", "+a.b=[1, 2]", "++c=-1",
                                           "-x", "variant=full,flash", "list", "", "x='a b'"));
}

TEST(Arguments, APluginFlagTakesOneValue) {
  const Arguments arguments =
      parse({"run", "--plugin", "a.so", "seed=1", "--plugin=b.so", "variant=mine", "--dry-run"});
  EXPECT_THAT(arguments.plugins, ElementsAre("a.so", "b.so"));
  EXPECT_THAT(arguments.words, ElementsAre("seed=1", "variant=mine"));
  EXPECT_TRUE(arguments.dry_run);
  EXPECT_FALSE(arguments.print_config);
}

TEST(Arguments, RunFlags) {
  const Arguments arguments =
      parse({"run", "--cfg", "job", "--config-dir", "d", "--config-name", "n"});
  EXPECT_TRUE(arguments.print_config);
  EXPECT_EQ(arguments.config_dir, "d");
  EXPECT_EQ(arguments.config_name, "n");
  EXPECT_THAT(error_of({"run", "--cfg", "everything"}), HasSubstr("everything"));
}

TEST(Arguments, ListAndCheck) {
  EXPECT_EQ(parse({"list"}).list_what, "");
  const Arguments list = parse({"list", "variants", "--json"});
  EXPECT_EQ(list.command, Command::kList);
  EXPECT_EQ(list.list_what, "variants");
  EXPECT_TRUE(list.json);
  const Arguments check = parse({"check", "sliding_window", "window=3", "--plugin", "p.so"});
  EXPECT_EQ(check.command, Command::kCheck);
  EXPECT_EQ(check.variant, "sliding_window");
  EXPECT_THAT(check.words, ElementsAre("window=3"));
  EXPECT_THAT(error_of({"check"}), HasSubstr("variant"));
}

TEST(Arguments, Compose) {
  const Arguments compose = parse(
      {"compose", "--config-dir", "d", "--config-name", "n", "~a", "b=1,2", "--explain-key", "b"});
  EXPECT_EQ(compose.command, Command::kCompose);
  EXPECT_EQ(compose.config_dir, "d");
  EXPECT_EQ(compose.config_name, "n");
  EXPECT_EQ(compose.explain_key, "b");
  EXPECT_THAT(compose.words, ElementsAre("~a", "b=1,2"));
  EXPECT_EQ(parse({"compose", "--info", "defaults-tree"}).info, "defaults-tree");
  EXPECT_THAT(error_of({"compose", "--info", "plugins"}), HasSubstr("plugins"));
}

TEST(Arguments, RunShowsItsConfigInSeveralWays) {
  EXPECT_FALSE(parse({"run", "seed=1"}).asks_for_config());
  EXPECT_TRUE(parse({"run", "--info", "defaults"}).asks_for_config());
  EXPECT_EQ(parse({"run", "--explain-key", "shape.seqlen", "seed=1"}).explain_key, "shape.seqlen");
  EXPECT_THAT(error_of({"run", "--info", "config", "--explain-key", "a"}),
              HasSubstr("--explain-key"));
  EXPECT_THAT(error_of({"run", "--resume", "d", "--info", "config"}), HasSubstr("--info"));
}

TEST(Arguments, HydrasMultirunFlagIsTaken) {
  for (const char* flag : {"-m", "--multirun"}) {
    EXPECT_THAT(parse({"run", flag, "seed=1,2"}).words, ElementsAre("seed=1,2"));
    EXPECT_THAT(parse({"compose", "seed=1,2", flag}).words, ElementsAre("seed=1,2"));
  }
}

TEST(Arguments, HydrasOtherFlags) {
  const Arguments compose = parse({"compose", "-cd", "d", "-cn", "n", "-c", "job", "--resolve"});
  EXPECT_EQ(compose.config_dir, "d");
  EXPECT_EQ(compose.config_name, "n");
  EXPECT_TRUE(compose.print_config);
  EXPECT_TRUE(parse({"compose", "-m"}).multirun);
  EXPECT_TRUE(parse({"run", "--cfg=all"}).print_config);
  EXPECT_EQ(parse({"run", "-i", "defaults"}).info, "defaults");
  const Arguments part = parse({"run", "-p", "shape"});
  EXPECT_EQ(part.package, "shape");
  EXPECT_TRUE(part.asks_for_config());
  EXPECT_THAT(error_of({"run", "--cfg", "hydra"}), HasSubstr("--cfg job"));
  EXPECT_THAT(error_of({"compose", "-cp", "d"}), HasSubstr("--config-dir DIR"));
  EXPECT_THAT(error_of({"run", "--config-path=d"}), HasSubstr("--config-dir DIR"));
  EXPECT_THAT(error_of({"run", "-sc", "install=bash"}), HasSubstr("completion bash"));
  EXPECT_THAT(error_of({"run", "--cfg", "job", "--explain-key", "a"}), HasSubstr("--explain-key"));
}

TEST(Arguments, ExplainKeyIsARunThatOnlyExplains) {
  const Arguments arguments = parse({"explain-key", "shape.seqlen", "seed=1", "--config-dir", "d"});
  EXPECT_EQ(arguments.command, Command::kRun);
  EXPECT_EQ(arguments.explain_key, "shape.seqlen");
  EXPECT_EQ(arguments.config_dir, "d");
  EXPECT_THAT(arguments.words, ElementsAre("seed=1"));
  EXPECT_THAT(error_of({"explain-key"}), HasSubstr("key"));
}

TEST(Arguments, FlagsTellWhatTheirValuesAre) {
  std::map<std::string, std::string> values;
  for (const FlagSpec& flag : flags_of_command("run")) values[flag.name] = flag.value;
  EXPECT_EQ(values.at("--dry-run"), "");
  EXPECT_EQ(values.at("--info"), "defaults|defaults-tree|config");
  EXPECT_EQ(values.at("--resume"), "DIR");
  EXPECT_EQ(values.at("--plugin"), "F.so");
  EXPECT_EQ(values.at("--explain-key"), "KEY");
  EXPECT_TRUE(flags_of_command("nonsense").empty());
}

TEST(Arguments, MistakesNameTheNearest) {
  EXPECT_THAT(error_of({"rnu"}), HasSubstr("unknown command 'rnu'. Did you mean 'run'?"));
  EXPECT_THAT(error_of({"run", "--dryrun"}), HasSubstr("unknown flag --dryrun of `run`"));
  EXPECT_THAT(error_of({"run", "--dryrun"}), HasSubstr("--dry-run"));
  EXPECT_THAT(error_of({"run", "--plugins=x.so"}), HasSubstr("unknown flag --plugins"));
  EXPECT_THAT(error_of({"list", "variants", "more"}), HasSubstr("more"));
  EXPECT_THAT(error_of({"--nonsense"}), HasSubstr("--nonsense"));
  EXPECT_THAT(error_of({"run", "--plugin"}), HasSubstr("--plugin"));
  EXPECT_THAT(error_of({}), HasSubstr("no command given"));
}

TEST(Arguments, HelpAndVersionAreTexts) {
  EXPECT_THAT(parse({"--version"}).text, HasSubstr("attnlab "));
  EXPECT_THAT(parse({"--help"}).text, HasSubstr("Usage: attnlab COMMAND"));
  EXPECT_THAT(parse({"run", "--help"}).text, HasSubstr("Usage: attnlab run"));
  EXPECT_THAT(parse({"run", "seed=1", "-h"}).text, HasSubstr("--dry-run"));
  EXPECT_EQ(parse({"check", "--help"}).command, Command::kText);
}

/// "$NAME" of a variable that is not set: the default would be another config than was meant.
TEST(Arguments, AnEmptyNameOfAConfigIsNotTheDefault) {
  EXPECT_THAT(error_of({"run", "--config-name", ""}),
              HasSubstr("--config-name: an empty name; leave the flag out for the default"));
  EXPECT_THAT(error_of({"run", "--config-dir", ""}), HasSubstr("--config-dir: an empty name"));
  EXPECT_THAT(error_of({"list", "--config-dir", ""}), HasSubstr("--config-dir: an empty name"));
  EXPECT_THAT(error_of({"data", "mqar", "--config-dir", ""}),
              HasSubstr("--config-dir: an empty name"));
}

/// The letter behind the dash may be a flag of its own.
TEST(Arguments, ADashInFrontOfAKeyIsNoFlag) {
  for (const char* word : {"-causal=true", "-pin=true", "-inputs=text", "-measure=quick"}) {
    EXPECT_EQ(error_of({"run", word}), "[attnlab] '" + std::string(word) +
                                           "': keys have no dash in front. Write " + (word + 1) +
                                           ".");
  }
  EXPECT_TRUE(parse({"run", "-cjob"}).print_config);
}

}  // namespace
}  // namespace attnlab::cli
