// Input made to hurt: it must end in a ConfigError, soon, and without eating the memory.
#include <fmt/format.h>
#include <rapidcheck.h>

#include <functional>

#include "experiments/config/interpolation.h"
#include "experiments/config/override.h"
#include "experiments/config/schema.h"
#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(HostileTest, AliasBomb) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    text += fmt::format("a{0}: &a{0} [*a{1}", i, i - 1);
    for (int k = 0; k < 8; ++k) text += fmt::format(", *a{}", i - 1);
    text += "]\n";
  }
  EXPECT_TRUE(contains(message_of([&] { yaml(text); }), "more than 100000 values"));
}

TEST(HostileTest, AliasInsideItsOwnAnchor) {
  EXPECT_NE(message_of([] { yaml("a: &a [*a]"); }), "no error");
}

TEST(HostileTest, DeepNesting) {
  for (const int levels : {65, 1000, 100'000}) {
    EXPECT_NE(message_of([&] { yaml(std::string(levels, '[')); }), "no error") << levels;
    EXPECT_NE(message_of([&] { yaml("a: " + std::string(levels, '{')); }), "no error") << levels;
    const std::string value = "k=" + std::string(levels, '[') + std::string(levels, ']');
    EXPECT_TRUE(contains(message_of([&] { parse_override(value); }), "deeper than 64")) << levels;
    std::string key = "+a";
    for (int i = 0; i < std::min(levels, 400); ++i) key += ".b";
    EXPECT_TRUE(contains(message_of([&] { parse_override(key + "=1"); }), "parts")) << levels;
  }
  EXPECT_TRUE(contains(message_of([&] { yaml(std::string(65, '[') + std::string(65, ']')); }),
                       "nested deeper than 64 levels"));
  EXPECT_EQ(message_of([&] { yaml(std::string(64, '[') + std::string(64, ']')); }), "no error");
}

TEST(HostileTest, DepthThroughAliases) {
  std::string text = "a0: &a0 [1]\n";
  for (int i = 1; i < 100; ++i) text += fmt::format("a{0}: &a{0} [*a{1}]\n", i, i - 1);
  EXPECT_TRUE(contains(message_of([&] { yaml(text); }), "nested deeper than 64 levels"));
}

TEST(HostileTest, ManyAndLargeValues) {
  std::string many = "a: [0";
  for (int i = 0; i < 100'001; ++i) many += ",0";
  EXPECT_TRUE(contains(message_of([&] { yaml(many + "]"); }), "more than 100000 values"));
  EXPECT_TRUE(
      contains(message_of([&] { yaml("a: " + std::string(70'000, 'x')); }), "at most 65536"));
  EXPECT_NE(message_of([&] { yaml(std::string(2000, 'k') + ": 1"); }), "no error");
  EXPECT_TRUE(
      contains(message_of([&] { parse_override("k=" + std::string(70'000, 'x')); }), "65536"));
  EXPECT_TRUE(
      contains(message_of([&] { parse_override("k=range(0,1e12,1)"); }), "more than 1000000"));
  EXPECT_TRUE(contains(message_of([&] { parse_override("k=range(100000000000)"); }), "1000000"));
}

TEST(HostileTest, InterpolationBombs) {
  std::string lists = "a0: [x, x, x, x]\n", texts = "b0: xxxxxxxxxx\n", chain = "c0: 1\n";
  for (int i = 1; i < 25; ++i) {
    lists += fmt::format("a{0}: ['${{a{1}}}', '${{a{1}}}']\n", i, i - 1);
    texts += fmt::format("b{0}: '${{b{1}}}${{b{1}}}'\n", i, i - 1);
  }
  for (int i = 1; i < 100; ++i) chain += fmt::format("c{}: ${{c{}}}\n", i, i - 1);
  EXPECT_TRUE(contains(message_of([&] { resolve_interpolations(yaml(lists)); }), "100000 values"));
  EXPECT_TRUE(contains(message_of([&] { resolve_interpolations(yaml(texts)); }), "65536 bytes"));
  // In order, each link finds the one before it settled; backwards it would nest.
  EXPECT_EQ(message_of([&] { resolve_interpolations(yaml(chain)); }), "no error");
  EXPECT_TRUE(contains(message_of([&] { resolve_interpolations(yaml("z: ${c99}\n" + chain)); }),
                       "more than 32 deep"));
  std::string nested = "x";
  for (int i = 0; i < 5000; ++i) nested = fmt::format("${{{}}}", nested);
  EXPECT_TRUE(contains(message_of([&] { resolve_interpolations(yaml("a: '" + nested + "'")); }),
                       "nested more than 32 deep"));
}

TEST(HostileTest, ManyReferencesToOneLargeValue) {
  std::string text = "big: [0";
  for (int i = 0; i < 40'000; ++i) text += ",0";
  text += "]\nuse:\n";
  for (int i = 0; i < 20'000; ++i) text += "- ${big}\n";
  EXPECT_TRUE(contains(message_of([&] { resolve_interpolations(yaml(text)); }), "100000 values"));
}

TEST(HostileTest, DefaultsThatIncludeThemselves) {
  ConfigDir dir;
  dir.write("config.yaml", "defaults: [config]\n");
  EXPECT_EQ(compose_error(dir),
            "[config] config.yaml:1:12: config 'config' includes itself through its "
            "defaults list: config -> config");
  dir.write("config.yaml", "defaults: [a]\n").write("a.yaml", "defaults: [b]\n");
  dir.write("b.yaml", "defaults: [a]\n");
  EXPECT_TRUE(contains(compose_error(dir), "includes itself"));
}

TEST(HostileTest, DefaultsThatDouble) {
  ConfigDir dir;
  dir.write("config.yaml", "defaults: [c0]\n").write("c40.yaml", "x: 1\n");
  for (int i = 0; i < 40; ++i) {
    dir.write(fmt::format("c{}.yaml", i), fmt::format("defaults: [c{0}, c{0}]\n", i + 1));
  }
  EXPECT_TRUE(contains(compose_error(dir), "more than 1000 configs"));
}

/// Random text from the alphabets of both grammars: whatever comes, only ConfigError may.
TEST(HostileTest, RandomTextNeverDoesWorseThanConfigError) {
  const auto characters = rc::gen::container<std::string>(
      rc::gen::elementOf(std::string("ab1.0e-+~'\"\\[]{}(),:=$@/ \t\n#&*!?|>%<_yn\x01\xff")));
  EXPECT_TRUE(rc::check([&] {
    const std::string text = *characters;
    for (const auto& run : std::vector<std::function<void()>>{
             [&] { parse_override(text); }, [&] { parse_override("k=" + text); },
             [&] { resolve_interpolations(yaml(text)); },
             [&] {
               resolve_interpolations(Tree::of_map({{"a", Tree::of_string("${" + text)}}));
             },
             [&] { parse_bytes(text, "x"); }}) {
      message_of(run);
    }
  }));
}

}  // namespace
}  // namespace attnlab::config
