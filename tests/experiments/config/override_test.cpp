#include "experiments/config/override.h"

#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

/// The values as one YAML-like line.
std::string values_of(const std::string& text) {
  std::string line;
  for (const Tree& value : parse_override(text).values) {
    line += line.empty() ? "" : " ";
    line += override_text(value);
  }
  return line;
}

std::string error_of(const std::string& text) {
  return message_of([&] { parse_override(text); });
}

TEST(OverrideTest, SignsKeysAndPackages) {
  EXPECT_EQ(parse_override("a=1").kind, Override::Kind::kAssign);
  EXPECT_EQ(parse_override("+a=1").kind, Override::Kind::kAppend);
  EXPECT_EQ(parse_override("++a=1").kind, Override::Kind::kForce);
  EXPECT_EQ(parse_override("~a").kind, Override::Kind::kDelete);
  EXPECT_TRUE(parse_override("~a").values.empty());
  EXPECT_EQ(parse_override("~a=1").values.size(), 1u);
  const Override grouped = parse_override("db/sub@pkg.x=y");
  EXPECT_EQ(grouped.key, "db/sub");
  EXPECT_EQ(grouped.package, "pkg.x");
  EXPECT_EQ(grouped.target(), "db/sub@pkg.x");
}

TEST(OverrideTest, Values) {
  const auto value = [](const std::string& text) {
    return parse_override("k=" + text).values.at(0);
  };
  EXPECT_EQ(value(""), Tree::of_string(""));
  EXPECT_EQ(value("1_000"), Tree::of_int(1000));
  EXPECT_EQ(value("'1'"), Tree::of_string("1"));
  EXPECT_EQ(value("a b  c"), Tree::of_string("a b  c"));
  EXPECT_EQ(value("  padded  "), Tree::of_string("padded"));
  EXPECT_EQ(value("a\\,b"), Tree::of_string("a,b"));
  EXPECT_EQ(value("1\\ "), Tree::of_string("1 "));
  EXPECT_EQ(value("x\\=y"), Tree::of_string("x=y"));
  EXPECT_EQ(value("a:b"), Tree::of_string("a:b"));
  EXPECT_EQ(value("/tmp/x-1.y"), Tree::of_string("/tmp/x-1.y"));
  EXPECT_EQ(value("'it\\'s'"), Tree::of_string("it's"));
  EXPECT_EQ(value("'a\\\\'"), Tree::of_string("a\\"));
  EXPECT_EQ(value("'a\\b'"), Tree::of_string("a\\b"));
  EXPECT_EQ(value("\"it's\""), Tree::of_string("it's"));
  EXPECT_EQ(value("${a.b}"), Tree::of_string("${a.b}"));
  EXPECT_EQ(value("x${a.${b}}y"), Tree::of_string("x${a.${b}}y"));
  EXPECT_EQ(value("${oc.env:A,b}"), Tree::of_string("${oc.env:A,b}"));
  EXPECT_TRUE(value("???").is_missing());
}

TEST(OverrideTest, ListsAndDicts) {
  const auto value = [](const std::string& text) {
    return parse_override("k=" + text).values.at(0);
  };
  EXPECT_EQ(value("[1, a b, 'c', [true]]"), yaml("[1, a b, c, [true]]"));
  EXPECT_EQ(value("[]"), yaml("[]"));
  EXPECT_EQ(value("{a: 1, 'b c': [2], d: {}}"), yaml("{a: 1, b c: [2], d: {}}"));
  EXPECT_EQ(value("{a:1}"), yaml("{a: 1}"));
  EXPECT_FALSE(parse_override("k=[1,2]").is_sweep);
}

TEST(OverrideTest, Sweeps) {
  EXPECT_TRUE(parse_override("k=1,2").is_sweep);
  EXPECT_EQ(values_of("k=1,a,'2',[3,4],{x: 5}"), "1 a '2' [3,4] {x: 5}");
  EXPECT_EQ(values_of("k=choice(1,a,[2])"), "1 a [2]");
  EXPECT_EQ(values_of("k=range(3)"), "0 1 2");
  EXPECT_EQ(values_of("k=range(2,8,3)"), "2 5");
  EXPECT_EQ(values_of("k=range(3,0,-1)"), "3 2 1");
  EXPECT_EQ(values_of("k=range(0,1,0.25)"), "0.0 0.25 0.5 0.75");
  EXPECT_EQ(values_of("k=range(step=2,start=1,stop=6)"), "1 3 5");
  EXPECT_TRUE(parse_override("k=range(5,1)").values.empty());
}

TEST(OverrideTest, Errors) {
  EXPECT_EQ(error_of("abc"), "[config] override 'abc': '=' is missing; write key=value");
  EXPECT_EQ(error_of("=1"), "[config] override '=1': the key is missing; write key=value");
  EXPECT_EQ(error_of("a b=1"),
            "[config] override 'a b=1': 'a b' is no key; write a.b.c, group/sub or group@package: "
            "letters, digits, _ - $");
  EXPECT_NE(error_of("a..b=1").find("'a..b' is no key"), std::string::npos);
  EXPECT_EQ(error_of("a=[1,2"),
            "[config] override 'a=[1,2': at character 7: expected ',' or ']', but "
            "the text ends");
  EXPECT_EQ(error_of("a=1,"),
            "[config] override 'a=1,': at character 5: a value is missing here; leave the comma "
            "out, or write '' for an empty text");
  EXPECT_EQ(error_of("a=b=c"),
            "[config] override 'a=b=c': at character 4: expected ',' or the end, found '='; text "
            "with such signs must be in quotes: \"a='b=c'\"");
  EXPECT_EQ(error_of("a='x"), "[config] override 'a='x': at character 3: the closing ' is missing");
  EXPECT_EQ(error_of("a='x'y"),
            "[config] override 'a='x'y': at character 6: expected ',' or the end, found 'y'; text "
            "with such signs must be in quotes");
  EXPECT_EQ(error_of("a=chioce(1,2)"),
            "[config] override 'a=chioce(1,2)': at character 3: unknown function 'chioce'. Did you "
            "mean 'choice'? Known: bool, choice, extend_list, float, glob, int, json_str, range, "
            "shuffle, sort, str. To keep the text, quote it");
  EXPECT_EQ(
      error_of("a=range(1,2,0)"),
      "[config] override 'a=range(1,2,0)': range() needs finite numbers and a step other than "
      "0");
  EXPECT_EQ(error_of("~a=1,2"), "[config] override '~a=1,2': a deletion cannot be swept");
  for (const char* text :
       {"a=1]", "a=}", "a=(", "a=#x", "a=x;y", "a=<", "a=!x", "a=range()", "a=choice()",
        "a=range(x)", "a=range(1,2,3,4)", "a=range(1,2,stop=3)", "a=[choice(1)]", "a=${x",
        "a={1: 2}", "a={x}", "a=,1", "a=range(inf)", "a=choice(1)x"}) {
    EXPECT_NE(error_of(text), "no error") << text;
  }
}

TEST(OverrideTest, ConcreteValuesParseBack) {
  const Override swept = parse_override("+k@p='a,b',[1,'x y'],{z: null},1e3,${a}");
  for (const Tree& value : swept.values) {
    const Override back = parse_override(swept.with_value(value).text);
    EXPECT_EQ(back.values.at(0), value);
    EXPECT_EQ(back.target(), "k@p");
    EXPECT_EQ(back.kind, Override::Kind::kAppend);
    EXPECT_FALSE(back.is_sweep);
  }
}

}  // namespace
}  // namespace attnlab::config
