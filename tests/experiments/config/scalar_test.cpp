#include "experiments/config/scalar.h"

#include <rapidcheck.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

Tree from_yaml(const std::string& text) { return resolve_yaml_scalar(text, {}); }
Tree from_override(const std::string& text) { return resolve_override_scalar(text, {}); }

// Expected values as OmegaConf 2.2 reads them (PyYAML's YAML 1.1 rules with its own floats).
TEST(ScalarTest, YamlWords) {
  for (const char* text : {"", "~", "null", "Null", "NULL"}) EXPECT_TRUE(from_yaml(text).is_null());
  for (const char* text : {"yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"}) {
    EXPECT_EQ(from_yaml(text), Tree::of_bool(true)) << text;
  }
  for (const char* text : {"no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"}) {
    EXPECT_EQ(from_yaml(text), Tree::of_bool(false)) << text;
  }
  for (const char* text :
       {"y", "n", "Y", "N", "tRue", "yEs", "nUll", "inf", "nan", "none", "None"}) {
    EXPECT_EQ(from_yaml(text), Tree::of_string(text)) << text;
  }
  EXPECT_TRUE(from_yaml("???").is_missing());
}

TEST(ScalarTest, YamlIntegers) {
  const std::vector<std::pair<const char*, std::int64_t>> cases = {
      {"0", 0},
      {"-0", 0},
      {"+7", 7},
      {"1_000", 1000},
      {"010", 8},
      {"0x10", 16},
      {"-0xfF", -255},
      {"0b101", 5},
      {"0b1_0", 2},
      {"1:30", 90},
      {"-1:30", -90},
      {"1:00:00", 3600},
      {"00", 0},
      {"1_", 1},
      {"12:5", 725},
      {"9223372036854775807", std::numeric_limits<std::int64_t>::max()},
      {"-9223372036854775808", std::numeric_limits<std::int64_t>::min()}};
  for (const auto& [text, value] : cases) EXPECT_EQ(from_yaml(text), Tree::of_int(value)) << text;
}

TEST(ScalarTest, YamlFloats) {
  const std::vector<std::pair<const char*, double>> cases = {
      {"1.5", 1.5},    {"1.", 1.0},        {"1e3", 1000.0},      {"-1e-3", -0.001},
      {".5", 0.5},     {"1_0.5", 10.5},    {".5e-3", 0.0005},    {"1e400", INFINITY},
      {"1e-400", 0.0}, {".inf", INFINITY}, {"-.INF", -INFINITY}, {"08.5", 8.5},
      {"1E+2", 100.0}};
  for (const auto& [text, value] : cases) EXPECT_EQ(from_yaml(text), Tree::of_float(value)) << text;
  EXPECT_TRUE(std::isnan(from_yaml(".nan").as_float()));
}

TEST(ScalarTest, YamlTextThatLooksLikeNumbers) {
  for (const char* text :
       {"08", "1:60", "1:300", "0x",   "0b",   "0b2",        "1e", "e3",  "1.2.3", "-",  "+",
        ".",  "_1",   "1-2",   "0o17", ".5e3", "2024-01-01", "1:", ":30", "0x_",   "-.5"}) {
    EXPECT_EQ(from_yaml(text), Tree::of_string(text)) << text;
  }
}

TEST(ScalarTest, TextThatBeginsLikeANumberThatIsTooLarge) {
  for (const char* text : {"99999999999999999999:3x", "99999999999999999999:", "9_9_:61"}) {
    EXPECT_EQ(from_yaml(text), Tree::of_string(text)) << text;
  }
}

TEST(ScalarTest, OverrideWords) {
  for (const char* text : {"null", "NULL", "nUll"}) EXPECT_TRUE(from_override(text).is_null());
  for (const char* text : {"true", "TRUE", "tRue"}) {
    EXPECT_EQ(from_override(text), Tree::of_bool(true));
  }
  for (const char* text : {"inf", "+INF"}) EXPECT_EQ(from_override(text), Tree::of_float(INFINITY));
  EXPECT_EQ(from_override("-inf"), Tree::of_float(-INFINITY));
  EXPECT_EQ(from_override("nan"), Tree::of_float(NAN));
  EXPECT_EQ(from_override("1_000"), Tree::of_int(1000));
  EXPECT_EQ(from_override("-3"), Tree::of_int(-3));
  EXPECT_EQ(from_override("1e-3"), Tree::of_float(0.001));
  EXPECT_EQ(from_override("1."), Tree::of_float(1));
  EXPECT_EQ(from_override(".5e3"), Tree::of_float(500));
  for (const char* text :
       {"yes", "on", "010", "0x10", "1:30", "1__0", "_1", "1_", "1e", ".", "1e3.5", "~", "01.5"}) {
    EXPECT_EQ(from_override(text), Tree::of_string(text)) << text;
  }
}

TEST(ScalarTest, IntegersBeyond64BitsAreRefused) {
  EXPECT_EQ(
      message_of([] { resolve_override_scalar("9223372036854775808", {}); }),
      "[config] <built in>: integer 9223372036854775808 does not fit into 64 bits; allowed are "
      "-9223372036854775808 to 9223372036854775807; write a float (1e30) or quote it to keep "
      "text");
  for (const char* text :
       {"0xffffffffffffffff", "99999999999999999999999", "153722867280912930:08"}) {
    EXPECT_NE(message_of([&] { from_yaml(text); }).find("does not fit"), std::string::npos) << text;
  }
}

TEST(ScalarTest, FloatTextIsPythons) {
  const std::vector<std::pair<double, const char*>> cases = {
      {0.1, "0.1"},       {1024, "1024.0"},  {1e-5, "1e-05"},
      {1e-4, "0.0001"},   {1e16, "1e+16"},   {-2.5, "-2.5"},
      {0.0, "0.0"},       {-0.0, "-0.0"},    {1e15, "1000000000000000.0"},
      {5e-324, "5e-324"}, {INFINITY, "inf"}, {1.7976931348623157e308, "1.7976931348623157e+308"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(float_text(value), text);
}

TEST(ScalarTest, FloatTextReadsBackAsTheSameFloat) {
  EXPECT_TRUE(rc::check([](std::uint64_t bits) {
    double value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    RC_PRE(std::isfinite(value));
    const std::string text = float_text(value);
    for (const Tree& read : {from_yaml(text), from_override(text)}) {
      RC_ASSERT(read.kind() == Tree::Kind::kFloat);
      const double back = read.as_float();
      RC_ASSERT(std::memcmp(&back, &value, sizeof(value)) == 0);
    }
  }));
}

TEST(ScalarTest, EveryIntegerReadsBack) {
  EXPECT_TRUE(rc::check([](std::int64_t value) {
    RC_ASSERT(from_yaml(std::to_string(value)) == Tree::of_int(value));
    RC_ASSERT(from_override(std::to_string(value)) == Tree::of_int(value));
  }));
}

TEST(ScalarTest, InterpolatedTextIsPythons) {
  EXPECT_EQ(interpolated_text(yaml("[1, 'it''s', null, true, {a: 1.0}]")),
            "[1, \"it's\", None, True, {'a': 1.0}]");
}

}  // namespace
}  // namespace attnlab::config
