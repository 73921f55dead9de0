// The functions of an override's value: what they give, and what they refuse.
#include <gtest/gtest.h>

#include <algorithm>

#include "experiments/config/override.h"
#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

/// The values of "k=TEXT", as one would write them: "1 | 2"; in front "one: " where nothing is
/// swept.
std::string values(const std::string& text) {
  const Override parsed = parse_override("k=" + text);
  std::string result = parsed.is_sweep ? "" : "one: ";
  for (const Tree& value : parsed.values) {
    if (&value != &parsed.values.front()) result += " | ";
    result += override_text(value);
  }
  return result;
}

std::string refusal(const std::string& text) {
  return message_of([&] { parse_override("k=" + text); });
}

TEST(ValueFunctionsTest, ChoiceRereadsTextThatWasQuoted) {
  EXPECT_EQ(values("choice(a,'b c',2)"), "a | 'b c' | 2");
  EXPECT_EQ(values("choice('1')"), "1");
  EXPECT_EQ(values("'1','2'"), "'1' | '2'");
  EXPECT_EQ(values("choice([1,2],{a:1})"), "[1,2] | {a: 1}");
  EXPECT_EQ(values("choice(sort(2,1))"), "1 | 2");
}

TEST(ValueFunctionsTest, RangeTakesNamesAndFloats) {
  EXPECT_EQ(values("range(3)"), "0 | 1 | 2");
  EXPECT_EQ(values("range(5,0,-2)"), "5 | 3 | 1");
  EXPECT_EQ(values("range(1,stop=7,step=3)"), "1 | 4");
  EXPECT_EQ(values("range(0,0.4,0.1)"), "0.0 | 0.1 | 0.2 | 0.30000000000000004");
  EXPECT_EQ(values("range(3,3)"), "");
}

TEST(ValueFunctionsTest, SortOrdersNumbersOrWords) {
  EXPECT_EQ(values("sort(3,1,2.5)"), "1 | 2.5 | 3");
  EXPECT_EQ(values("sort(choice(b,a),reverse=true)"), "b | a");
  EXPECT_EQ(values("sort([2,1])"), "one: [1,2]");
  EXPECT_EQ(values("sort(range(3,0,-1))"), "1 | 2 | 3");
  EXPECT_EQ(values("sort(range(0,3),reverse=true)"), "2 | 1 | 0");
  EXPECT_NE(refusal("sort(1,a)").find("numbers only, or words only"), std::string::npos);
}

TEST(ValueFunctionsTest, ShuffleKeepsTheValuesAndRepeatsItsOrder) {
  const Override once = parse_override("k=shuffle(range(20))");
  ASSERT_EQ(once.values.size(), 20u);
  EXPECT_EQ(once.values, parse_override("k=shuffle(range(20))").values);
  std::vector<std::int64_t> numbers;
  for (const Tree& value : once.values) numbers.push_back(value.as_int());
  EXPECT_FALSE(std::is_sorted(numbers.begin(), numbers.end()));
  std::sort(numbers.begin(), numbers.end());
  for (std::int64_t i = 0; i < 20; ++i) EXPECT_EQ(numbers[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(values("shuffle(5)"), "one: [5]");
}

TEST(ValueFunctionsTest, CastsFollowPython) {
  EXPECT_EQ(values("int(-2.9)"), "one: -2");
  EXPECT_EQ(values("int(' 1_0 ')"), "one: 10");
  EXPECT_EQ(values("float([1,'2e3'])"), "one: [1.0,2000.0]");
  EXPECT_EQ(values("str([1.0,true])"), "one: ['1.0','true']");
  EXPECT_EQ(values("bool({a:0,b:'TRUE'})"), "one: {a: false,b: true}");
  EXPECT_EQ(values("int(1.5,2.5)"), "1 | 2");
  EXPECT_EQ(values("int(range(0.5,3.5))"), "0 | 1 | 2");
  EXPECT_EQ(values("json_str({a:[1,null,'x']})"), R"(one: '{"a": [1, null, "x"]}')");
}

TEST(ValueFunctionsTest, RefusalsNameThePlaceAndTheReason) {
  EXPECT_EQ(refusal("int(1e30)"),
            "[config] override 'k=int(1e30)': at character 3: integer 1e+30 does not fit into 64 "
            "bits");
  EXPECT_NE(refusal("int(inf)").find("inf is no integer"), std::string::npos);
  EXPECT_NE(refusal("bool(yes)").find("'yes' is neither true nor false"), std::string::npos);
  EXPECT_NE(refusal("choice(a,null)").find("choice() takes no null"), std::string::npos);
  EXPECT_NE(refusal("range(1,2,0)").find("a step other than 0"), std::string::npos);
  EXPECT_NE(refusal("range(0,1e9)").find("more than 1000000 values"), std::string::npos);
  EXPECT_NE(refusal("interval(0,1)").find("is for optimisers"), std::string::npos);
  EXPECT_NE(refusal("chioce(a,b)").find("Did you mean 'choice'?"), std::string::npos);
  EXPECT_NE(refusal("[choice(1,2)]").find("a sweep cannot stand inside"), std::string::npos);
  EXPECT_NE(refusal("range(1,stop=2,3)").find("without a name follows"), std::string::npos);
}

TEST(ValueFunctionsTest, ExtendListAppends) {
  ConfigDir dir;
  dir.write("config.yaml", "l: [1, 2]\nn: null\nt: text\n");
  EXPECT_EQ(dir.yaml({"l=extend_list(3,[4])", "n=extend_list(5)"}),
            "l:\n- 1\n- 2\n- 3\n- - 4\nn:\n- 5\nt: text\n");
  EXPECT_EQ(compose_error(dir, {"t=extend_list(1)"}),
            "[config] override 't=extend_list(1)': extend_list() appends to a list, and 't' is a "
            "string (given at config.yaml:3:4)");
}

}  // namespace
}  // namespace attnlab::config
