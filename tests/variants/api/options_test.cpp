#include "variants/api/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"

namespace attnlab {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::vector<OptionSpec> kSpecs = {
    {.name = "window", .default_value = std::int64_t{256}, .help = "keys", .min = 0, .max = 1000},
    {.name = "decay", .default_value = 0.5, .help = "per token", .min = 0, .max = 1},
    {.name = "gated", .default_value = false, .help = "use a gate"},
    {.name = "map",
     .default_value = std::string("elu"),
     .help = "phi",
     .choices = {"elu", "relu"}}};

std::string refusal(const std::map<std::string, OptionValue>& given) {
  try {
    Options("demo", kSpecs, given);
  } catch (const ConfigError& error) {
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return "";
}

TEST(Options, DefaultsFillWhatIsNotGiven) {
  const Options options("demo", kSpecs, {{"window", std::int64_t{8}}});
  EXPECT_EQ(options.get_int("window"), 8);
  EXPECT_EQ(options.get_float("decay"), 0.5);
  EXPECT_FALSE(options.get_bool("gated"));
  EXPECT_EQ(options.get_string("map"), "elu");
}

TEST(Options, JsonHasSortedKeysAndTypes) {
  EXPECT_EQ(Options("demo", kSpecs, {}).to_json(),
            R"({"decay":0.5,"gated":false,"map":"elu","window":256})");
  EXPECT_EQ(Options().to_json(), "{}");
}

TEST(Options, AnIntegerIsTakenWhereAFloatIsDeclared) {
  EXPECT_EQ(Options("demo", kSpecs, {{"decay", std::int64_t{1}}}).get_float("decay"), 1.0);
}

TEST(Options, UnknownNameNamesTheNearest) {
  EXPECT_THAT(
      refusal({{"windw", std::int64_t{8}}}),
      AllOf(HasSubstr("no option 'windw' (given: 8)"), HasSubstr("Did you mean 'window'?")));
}

TEST(Options, WrongTypeAndRangeSayWhatIsAllowed) {
  EXPECT_THAT(refusal({{"window", std::string("wide")}}), HasSubstr("Allowed: int, at least 0"));
  EXPECT_THAT(refusal({{"window", 2.5}}), HasSubstr("'window' is 2.5 (float)"));
  EXPECT_THAT(refusal({{"window", std::int64_t{1001}}}), HasSubstr("at most 1000"));
  EXPECT_THAT(refusal({{"gated", std::int64_t{1}}}), HasSubstr("Allowed: bool"));
  EXPECT_THAT(refusal({{"map", std::string("gelu")}}), HasSubstr("Allowed: elu, relu"));
}

TEST(Options, ReadingAnUndeclaredNameIsAProgrammingError) {
  const Options options("demo", kSpecs, {});
  EXPECT_THROW(options.get_int("nothing"), std::logic_error);
  EXPECT_THROW(options.get_int("decay"), std::logic_error);
}

}  // namespace
}  // namespace attnlab
