#include "experiments/config/emit_yaml.h"

#include <fmt/format.h>
#include <rapidcheck.h>

#include <cmath>

#include "experiments/config/override.h"
#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

TEST(EmitYamlTest, WritesBlockStyle) {
  const Tree tree =
      yaml("{a: {b: 1, c: [x, [1, 2], {d: null}]}, e: [], f: {}, g: '\?\?\?', h: 1e3}");
  EXPECT_EQ(emit_yaml(tree),
            "a:\n"
            "  b: 1\n"
            "  c:\n"
            "  - x\n"
            "  - - 1\n"
            "    - 2\n"
            "  - d: null\n"
            "e: []\n"
            "f: {}\n"
            "g: ???\n"
            "h: 1000.0\n");
}

TEST(EmitYamlTest, QuotesTextThatWouldReadAsSomethingElse) {
  const auto text = [](const std::string& value) { return emit_yaml(Tree::of_string(value)); };
  EXPECT_EQ(text("plain text"), "plain text\n");
  EXPECT_EQ(text("${a.b}"), "${a.b}\n");
  for (const char* value : {"1.0", "true", "010", "null", "", "1:30", "a: b", "a #b", "- x", "*x",
                            "yes", "99999999999999999999", " x", "x ", "1e3", "<<", "[x", "---"}) {
    EXPECT_EQ(text(value), fmt::format("'{}'\n", value));
  }
  EXPECT_EQ(text("it's: 5"), "'it''s: 5'\n");
  EXPECT_EQ(text("a\nb"), "\"a\\nb\"\n");
}

rc::Gen<std::string> any_text() {
  const auto word = rc::gen::element<std::string>(
      "yes", "no", "1", "1.5", "0x1", "010", "null", "~", "'", "\"", "\\", " ", "\t", "\n", "#",
      ": ", "-", "- ", "[", "]", "{", "}", ",", "&a", "*a", "!", "|", ">", "%", "@", "`", "?", "=",
      "<<", "abc", "\xc3\xa9", "\xc2\x85", "\xe2\x80\xa8", "\xef\xbb\xbf", "\x01", "\x7f", "\r",
      "...", "---", "1:30", ".inf", "e3", "_", "${x}", "999999999999999999999");
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(word), [](const auto& words) {
    std::string text;
    for (const std::string& each : words) text += each;
    // "???" is the mark of a missing value, not a text.
    return text == "???" ? std::string("x") : text;
  });
}

rc::Gen<Tree> any_tree(int depth) {
  const auto leaf = rc::gen::oneOf(
      rc::gen::just(Tree::null()), rc::gen::just(Tree::missing()),
      rc::gen::map(rc::gen::arbitrary<bool>(), [](bool x) { return Tree::of_bool(x); }),
      rc::gen::map(rc::gen::arbitrary<std::int64_t>(), [](auto x) { return Tree::of_int(x); }),
      rc::gen::map(rc::gen::arbitrary<double>(), [](double x) { return Tree::of_float(x); }),
      rc::gen::map(any_text(), [](std::string x) { return Tree::of_string(std::move(x)); }));
  if (depth == 0) return leaf;
  const auto list = rc::gen::map(
      rc::gen::container<std::vector<Tree>>(any_tree(depth - 1)), [](std::vector<Tree> items) {
        return Tree::of_list(
            {items.begin(), items.begin() + std::min<std::ptrdiff_t>(3, std::ssize(items))});
      });
  const auto map =
      rc::gen::map(rc::gen::container<std::map<std::string, Tree>>(any_text(), any_tree(depth - 1)),
                   [](const std::map<std::string, Tree>& entries) {
                     std::vector<Tree::Entry> kept;
                     for (const auto& entry : entries) {
                       if (kept.size() < 3 && entry.first.size() < kMaxKeyBytes)
                         kept.push_back(entry);
                     }
                     return Tree::of_map(std::move(kept));
                   });
  return rc::gen::oneOf(leaf, list, map);
}

TEST(EmitYamlTest, AnyTreeReadsBackTheSame) {
  EXPECT_TRUE(rc::check([] {
    const Tree tree = *any_tree(2);
    const std::string text = emit_yaml(tree);
    const Tree back = yaml(text);
    if (!(back == tree)) RC_FAIL(text + " became " + emit_yaml(back));
  }));
}

TEST(EmitYamlTest, AnyTextReadsBackAsAnOverride) {
  EXPECT_TRUE(rc::check([] {
    const Tree tree = Tree::of_map({{"k", Tree::of_string(*any_text())}, {"l", *any_tree(1)}});
    const std::string text = override_text(tree);
    const Override back = parse_override("a=" + text);
    RC_ASSERT(!back.is_sweep);
    if (!(back.values.front() == tree))
      RC_FAIL(text + " became " + override_text(back.values.front()));
  }));
}

TEST(EmitYamlTest, KeysThatGetLongByTheirEscapesReadBack) {
  for (const std::string& key : {std::string(900, '\r'), std::string(1000, 'k')}) {
    for (const char* value : {"1", "[1, [2], {a: b}]", "{a: {b: c}}", "[]", "text"}) {
      const Tree tree = Tree::of_map({{"first", yaml(value)}, {key, yaml(value)}, {"z", Tree()}});
      EXPECT_EQ(yaml(emit_yaml(tree)), tree) << value;
      EXPECT_EQ(yaml(emit_yaml(Tree::of_list({tree}))), Tree::of_list({tree})) << value;
    }
  }
}

}  // namespace
}  // namespace attnlab::config
