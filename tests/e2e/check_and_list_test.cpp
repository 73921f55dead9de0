// `attnlab list`, `attnlab check`, --help and --version.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/e2e/program.h"

namespace attnlab::e2e {
namespace {

using testing::HasSubstr;

TEST(List, VariantsAsTextAndJson) {
  const Workplace workplace;
  const Result text = workplace.run({"list", "variants"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("variant.window=256"));
  EXPECT_THAT(text.out, HasSubstr("takes alibi_slopes [heads], optional"));
  const Result json = workplace.run({"list", "variants", "--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  std::vector<std::string> names;
  for (const auto& variant : nlohmann::json::parse(json.out)) {
    names.push_back(variant.at("name"));
    EXPECT_EQ(variant.at("origin"), "built-in");
    EXPECT_THAT(text.out, HasSubstr(variant.at("summary").get<std::string>()));
    EXPECT_EQ(variant.at("extra_inputs").empty(),
              variant.at("name") == "linear" || variant.at("name") == "torch_sdpa");
  }
  EXPECT_THAT(names,
              testing::IsSupersetOf({"flash", "full", "linear", "sliding_window", "torch_sdpa"}));
}

TEST(List, ExperimentsGroupsAndDevices) {
  const Workplace workplace;
  EXPECT_THAT(workplace.run({"list", "experiments"}).out, HasSubstr("quickstart"));
  EXPECT_THAT(workplace.run({"list", "measure"}).out, HasSubstr("precise"));
  EXPECT_THAT(workplace.run({"list", "devices"}).out, HasSubstr("cuda"));
  const auto devices = nlohmann::json::parse(workplace.run({"list", "devices", "--json"}).out);
  EXPECT_EQ(devices.at(0).at("name"), "cpu");
  const Result all = workplace.run({"list"});
  EXPECT_THAT(all.out, HasSubstr("experiment"));
  EXPECT_THAT(all.out, HasSubstr("torch_sdpa"));
}

TEST(List, APluginIsListedWithItsPath) {
  const Workplace workplace;
  const Result result = workplace.run({"list", "variants", "--plugin", ATTNLAB_E2E_PLUGIN});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("equal_weights"));
  EXPECT_THAT(result.out, HasSubstr("e2e_plugin.so"));
}

TEST(Check, AGoodVariantHoldsEveryProperty) {
  const Workplace workplace;
  const Result result = workplace.run({"check", "torch_sdpa"});
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr("ok "));
  EXPECT_THAT(result.out, Not(HasSubstr("FAIL")));
  EXPECT_THAT(result.out, HasSubstr("holds all"));
}

// It gives every query all keys, also under a causal mask.
TEST(Check, ABrokenVariantIsExitCode1WithTheProperty) {
  const Workplace workplace;
  const Result result = workplace.run({"check", "equal_weights", "--plugin", ATTNLAB_E2E_PLUGIN});
  EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr("FAIL"));
  EXPECT_THAT(result.out, HasSubstr("breaks"));
}

TEST(Check, MistakesAreExitCode2) {
  const Workplace workplace;
  EXPECT_THAT(workplace.run({"check", "flsh"}).err, HasSubstr("'flash'"));
  EXPECT_EQ(workplace.run({"check", "flsh"}).exit_code, 2);
  EXPECT_EQ(workplace.run({"check", "sliding_window", "windw=3"}).exit_code, 2);
  EXPECT_EQ(workplace.run({"check", "sliding_window", "nonsense"}).exit_code, 2);
}

TEST(Help, HelpAndVersionAreOnStdout) {
  const Workplace workplace;
  for (const char* command : {"run", "list", "check"}) {
    const Result help = workplace.run({command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr(std::string("Usage: attnlab ") + command));
    EXPECT_EQ(help.err, "");
  }
  EXPECT_THAT(workplace.run({"--help"}).out, HasSubstr("check"));
  EXPECT_TRUE(workplace.run({"--version"}).out.starts_with("attnlab "));
  EXPECT_EQ(workplace.run({}).exit_code, 2);
}

}  // namespace
}  // namespace attnlab::e2e
