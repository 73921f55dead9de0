#include "experiments/config/load_yaml.h"

#include <string_view>
#include <utility>

#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

std::string error_of(const std::string& text) {
  return message_of([&] { yaml(text); });
}

TEST(LoadYamlTest, ReadsKindsAndKeepsQuotedText) {
  const Tree tree =
      yaml("a: 1\nb: '1'\nc: \"yes\"\nd: 1e3\ne: [x, ~]\nf:\ng: ???\nh: |\n  two\n  lines\n");
  EXPECT_EQ(*tree.find("a"), Tree::of_int(1));
  EXPECT_EQ(*tree.find("b"), Tree::of_string("1"));
  EXPECT_EQ(*tree.find("c"), Tree::of_string("yes"));
  EXPECT_EQ(*tree.find("d"), Tree::of_float(1000));
  EXPECT_EQ(*tree.find("e"), Tree::of_list({Tree::of_string("x"), Tree::null()}));
  EXPECT_TRUE(tree.find("f")->is_null());
  EXPECT_TRUE(tree.find("g")->is_missing());
  EXPECT_EQ(*tree.find("h"), Tree::of_string("two\nlines\n"));
  EXPECT_TRUE(yaml("").is_null());
  EXPECT_TRUE(yaml("# nothing\n").is_null());
}

TEST(LoadYamlTest, KnowsWhereEachValueStands) {
  const Tree tree = yaml("a:\n  b: 5\n  c: [1, 22]\n");
  EXPECT_EQ(tree.find_path("a.b")->position().to_string(), "t.yaml:2:6");
  EXPECT_EQ(tree.find_path("a.c.1")->position().to_string(), "t.yaml:3:10");
}

TEST(LoadYamlTest, TheLineThatIsProposedForAnInterpolationInBracketsIsRead) {
  for (const auto& [wrong, list] : {
           std::pair{"c: [${a}, ${b}]", "['${a}', '${b}']"},
           {"c: [x, \"${a}, b\", ${oc.env:HOME,x}]", "[x, '${a}, b', '${oc.env:HOME,x}']"},
           {"c: [it's ${a.b}, ${f:{x: 1},${b}} ]", "[\"it's ${a.b}\", '${f:{x: 1},${b}}']"},
           {"c: [{x: p${a}q, y: 1}, 2]", "[{x: 'p${a}q', y: 1}, 2]"},
           {"c: {x:${a}, y: '#', z: 1}  # of ${a}", "{x: '${a}', y: '#', z: 1}"},
       }) {
    const std::string message = error_of(wrong);
    const std::string_view kWrite = "; write ";
    const std::size_t at = message.find(kWrite);
    ASSERT_NE(at, std::string::npos) << message;
    const std::string proposed = message.substr(at + kWrite.size());
    EXPECT_EQ(error_of(proposed), "no error") << proposed;
    EXPECT_EQ(*yaml(proposed).find("c"), yaml(list)) << proposed;
  }
}

TEST(LoadYamlTest, AliasesAndMergeKeys) {
  const Tree tree = yaml("base: &b {x: 1, y: 2}\nuse: *b\nown: {y: 5, <<: *b, z: 3}\n");
  EXPECT_EQ(*tree.find("use"), yaml("{x: 1, y: 2}"));
  EXPECT_EQ(*tree.find("own"), yaml("{x: 1, y: 5, z: 3}"));
  EXPECT_EQ(*yaml("{a: &a {x: 1}, b: &b {x: 2, y: 2}, c: {<<: [*a, *b]}}").find("c"),
            yaml("{x: 1, y: 2}"));
  EXPECT_EQ(yaml("'<<': {x: 1}").keys(), std::vector<std::string>{"<<"});
  EXPECT_EQ(error_of("a: {<<: 5}"), "[config] t.yaml:1:9: '<<' merges maps; this is an int");
}

TEST(LoadYamlTest, RefusesWhatIsAmbiguous) {
  EXPECT_EQ(error_of("a: 1\nb: 2\na: 3\n"),
            "[config] t.yaml:3:1: key 'a' appears twice; it was first given at t.yaml:1:1");
  EXPECT_EQ(error_of("a: 1\n---\nb: 2\n"),
            "[config] t.yaml:3:1: a second document; a config file holds one");
  EXPECT_EQ(
      error_of("1: x"),
      "[config] t.yaml:1:1: a key must be a string, and this one reads as an int; quote it: '1'");
  EXPECT_EQ(
      error_of("no: x"),
      "[config] t.yaml:1:1: a key must be a string, and this one reads as a bool; quote it: 'no'");
  EXPECT_EQ(error_of("~: x"),
            "[config] t.yaml:1:1: the key in front of ':' is missing, or null; inside {} pairs are "
            "separated by commas, and a comment begins with #");
  EXPECT_EQ(error_of("? [a]\n: x"),
            "[config] t.yaml:1:3: a key must be a string, not a list or a map");
  EXPECT_EQ(
      error_of("a: !!python/object:os.system x"),
      "[config] t.yaml:1:4: the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed; "
      "write the plain value");
  EXPECT_NE(error_of("a: !!set {x, y}").find("is not allowed"), std::string::npos);
  EXPECT_EQ(yaml("'1': x"), Tree::of_map({{"1", Tree::of_string("x")}}));
}

TEST(LoadYamlTest, SyntaxErrorsHaveAPlace) {
  EXPECT_EQ(error_of("a: [1, 2\nb: 3\n").substr(0, 22), "[config] t.yaml:2:2: t");
  EXPECT_EQ(error_of("a: [\?\?\?]"),
            "[config] t.yaml:1:5: inside [] or {} write '\?\?\?' in quotes");
  EXPECT_NE(error_of("a: 'open"), "no error");
  EXPECT_NE(error_of("a: *nowhere"), "no error");
  EXPECT_NE(error_of("\tb: 1"), "no error");
}

TEST(LoadYamlTest, RefusesBytesThatAreNoText) {
  EXPECT_EQ(error_of("a: \xff"),
            "[config] t.yaml:1:4: byte 0xff is not valid UTF-8; save the file as UTF-8");
  for (const char* bad :
       {"\xc0\x80", "\xed\xa0\x80", "\xe2\x82", "\xf5\x80\x80\x80", "\xe0\x80\x80"}) {
    EXPECT_NE(error_of(std::string("a: ") + bad).find("not valid UTF-8"), std::string::npos);
  }
  EXPECT_EQ(error_of("ok: 1\na: \x01"),
            "[config] t.yaml:2:4: control character 0x01; write it as \\x01 in double "
            "quotes");
  EXPECT_EQ(*yaml("a: \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80").find("a"),
            Tree::of_string("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
  EXPECT_NE(error_of(std::string("a: b\0c", 6)), "no error");
}

TEST(LoadYamlTest, FilesOfTheWrongKindOrSize) {
  ConfigDir dir;
  dir.write("big.yaml", "a: '" + std::string(kMaxFileBytes, 'x') + "'");
  std::filesystem::create_directory(dir.path() / "folder.yaml");
  const auto error = [&](const char* name) {
    return message_of(dir, [&] { load_yaml(dir.path() / name); });
  };
  EXPECT_EQ(error("nothing.yaml"), "[config] nothing.yaml: there is no such file");
  EXPECT_EQ(error("folder.yaml"),
            "[config] folder.yaml: this is a folder; a config is a file with YAML in it");
  EXPECT_EQ(
      error("big.yaml"),
      "[config] big.yaml: larger than 1048576 bytes, which is the most a config file may have");
}

TEST(LoadYamlTest, EscapesOfOneLatinCharacterBecomeUtf8) {
  EXPECT_EQ(yaml(R"(a: "x\_y\Nz \x85 \u00e9")").find("a")->as_string(),
            "x\xC2\xA0y\xC2\x85z \xC2\x85 \xC3\xA9");
  EXPECT_EQ(yaml(emit_yaml(yaml(R"("\_": ["\N"])"))), yaml(R"("\_": ["\N"])"));
}

}  // namespace
}  // namespace attnlab::config
