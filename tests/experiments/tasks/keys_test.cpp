#include "experiments/tasks/keys.h"

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::vector<OptionSpec> kSpecs = {
    int_key("seqlen", 64, 2, 100, "tokens"), float_key("power", 0.5, 0, 1, "of the law"),
    choice_key("filler", "zero", {"zero", "random"}, "between"),
    OptionSpec{"pack", true, "several in a sample"}, seed_key()};

Keys keys_of(const std::vector<std::string>& words) {
  return Keys("demo", kSpecs, parse_words("demo", kSpecs, words));
}

std::string refusal(const std::vector<std::string>& words) {
  try {
    keys_of(words);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(KeysTest, DefaultsAndGivenValues) {
  const Keys defaults = keys_of({});
  EXPECT_EQ(defaults.get_int("seqlen"), 64);
  EXPECT_EQ(defaults.get_float("power"), 0.5);
  EXPECT_EQ(defaults.get_string("filler"), "zero");
  EXPECT_TRUE(defaults.get_bool("pack"));
  EXPECT_EQ(defaults.seed(), 0u);
  const Keys given = keys_of({"seqlen=2", "power=1", "filler=random", "pack=false", "seed=9"});
  EXPECT_EQ(given.get_int("seqlen"), 2);
  EXPECT_EQ(given.get_float("power"), 1.0);
  EXPECT_EQ(given.get_string("filler"), "random");
  EXPECT_FALSE(given.get_bool("pack"));
  EXPECT_EQ(given.seed(), 9u);
  EXPECT_THROW(given.get_int("power"), std::logic_error);
  EXPECT_THROW(given.get_int("nothing"), std::logic_error);
}

TEST(KeysTest, ValuesOfAConfigAreCheckedToo) {
  EXPECT_EQ(Keys("demo", kSpecs, {{"power", std::int64_t{1}}}).get_float("power"), 1.0);
  EXPECT_THROW(Keys("demo", kSpecs, {{"seqlen", 2.5}}), ConfigError);
  EXPECT_THROW(Keys("demo", kSpecs, {{"seqlen", std::int64_t{101}}}), ConfigError);
  EXPECT_THROW(Keys("demo", kSpecs, {{"length", std::int64_t{1}}}), ConfigError);
}

TEST(KeysTest, MistakesAreNamedWithWhatIsAllowed) {
  EXPECT_THAT(refusal({"seqln=3"}),
              AllOf(HasSubstr("'seqln'"), HasSubstr("Did you mean 'seqlen'?"), HasSubstr("seed")));
  EXPECT_THAT(refusal({"seqlen=1"}), AllOf(HasSubstr("seqlen=1"), HasSubstr("int from 2 to 100")));
  EXPECT_THAT(refusal({"seqlen=101"}), HasSubstr("int from 2 to 100"));
  for (const char* text : {"", "x", "2.5", "2 ", "1e1", "99999999999999999999", "0x10", "true"}) {
    EXPECT_THAT(refusal({std::string("seqlen=") + text}), HasSubstr("int from 2 to 100")) << text;
  }
  for (const char* text : {"nan", "-0.1", "inf", "1.5", "half"}) {
    EXPECT_THAT(refusal({std::string("power=") + text}), HasSubstr("float from 0 to 1")) << text;
  }
  EXPECT_THAT(refusal({"filler=radnom"}),
              AllOf(HasSubstr("zero, random"), HasSubstr("Did you mean 'random'?")));
  EXPECT_THAT(refusal({"pack=1"}), HasSubstr("bool"));
  EXPECT_THAT(refusal({"seed=-1"}), HasSubstr("int from 0"));
  EXPECT_THAT(refusal({"seed=3", "seed=3"}), HasSubstr("twice"));
  EXPECT_THAT(refusal({"seed"}), HasSubstr("KEY=VALUE"));
  EXPECT_THAT(refusal({"=3"}), HasSubstr("KEY=VALUE"));
}

}  // namespace
}  // namespace attnlab::tasks
