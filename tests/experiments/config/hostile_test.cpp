// Input made to hurt: it must end in a ConfigError, soon, and without eating the memory.
#include <fmt/format.h>
#include <rapidcheck.h>

#include <functional>

#include "experiments/config/group_files.h"
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

TEST(HostileTest, NestedCallsThatDoubleTheirText) {
  std::string value = "'\"'";
  for (int i = 0; i < 60; ++i) value = "json_str(" + value + ")";
  EXPECT_TRUE(contains(message_of([&] { parse_override("k=" + value); }), "at most 65536"));
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

TEST(HostileTest, AHundredThousandKeys) {
  std::string text = "first: 1\n";
  for (int i = 0; i < 95'000; ++i) text += fmt::format("k{}: {}\n", i, i % 7);
  ASSERT_LT(text.size(), kMaxFileBytes);
  ConfigDir dir;
  dir.write("config.yaml", text);
  EXPECT_EQ(dir.jobs({"k94999=5"})[0].config.find("k94999")->as_int(), 5);
  EXPECT_TRUE(contains(compose_error(dir, {"k94998x=5"}), "there is no key 'k94998x'"));
  // Each job on its own would be allowed; together they would take tens of gigabytes.
  EXPECT_TRUE(contains(compose_error(dir, {"first=range(10000)"}),
                       "a config of 95002 values in each of 10000 jobs is more than can be held"));
}

/// Copying the map for each merged key took more than 20 s here.
TEST(HostileTest, LargeMapsMergedManyTimes) {
  std::string text = "base: &base {k0: 0";
  for (int i = 1; i < 2000; ++i) text += fmt::format(", k{}: {}", i, i);
  text += "}\n";
  for (int i = 0; i < 48; ++i)
    text += fmt::format("m{}: {{<<: *base, k1999: own, last: {}}}\n", i, i);
  const Tree few = yaml(text);
  const Tree& last = *few.find("m47");
  EXPECT_EQ(last.entries().size(), 2001u);
  EXPECT_EQ(last.entries()[1999].first, "k1999");
  EXPECT_EQ(last.find("k1999")->as_string(), "own");
  EXPECT_EQ(last.find("last")->as_int(), 47);
  text += "m48: {<<: *base}\n";
  EXPECT_TRUE(contains(message_of([&] { yaml(text); }), "more than 100000 values"));
}

TEST(HostileTest, JobsShareWhatIsTheSame) {
  ConfigDir dir;
  dir.write("config.yaml", "big: {a: [1, 2], b: {c: 3}}\nn: 0\nm: ${n}\n");
  const std::vector<Job> jobs = dir.jobs({"n=1,2"});
  EXPECT_TRUE(jobs[0].config.find("big")->is_same(*jobs[1].config.find("big")));
  EXPECT_EQ(jobs[1].config.find("m")->as_int(), 2);
}

TEST(HostileTest, ManyOverrides) {
  ConfigDir dir;
  dir.write("config.yaml", "a: 1\n");
  EXPECT_EQ(dir.jobs(std::vector<std::string>(kMaxOverrides, "a=2")).size(), 1u);
  EXPECT_TRUE(contains(compose_error(dir, std::vector<std::string>(kMaxOverrides + 1, "a=2")),
                       "1001 overrides on one command line"));
}

TEST(HostileTest, ABroadFolderIsNotWalkedForAHint) {
  ConfigDir dir;
  dir.write("config.yaml", "a: 1\n");
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "d/";
  dir.write(deep + "x.yaml", "a: 1\n").write("near/x.yaml", "a: 1\n");
  EXPECT_EQ(ConfigFiles({dir.path()}).group_names(), std::vector<std::string>{"near"});
}

TEST(HostileTest, MoreJobsOnlyWhereTheyAreAllowed) {
  ConfigDir dir;
  dir.write("config.yaml", "a: 1\n");
  ComposeRequest request = dir.request({"a=range(10001)"});
  EXPECT_TRUE(contains(message_of([&] { compose(request); }), "more than 10000 jobs"));
  request.max_jobs = 10'001;
  EXPECT_EQ(compose(request).size(), 10'001u);
}

/// A byte order mark and Windows line ends are no mistakes.
TEST(HostileTest, FilesOfOtherSystems) {
  EXPECT_EQ(yaml("\xef\xbb\xbf"
                 "a: 1\r\nb:\r\n  - x\r\n"),
            yaml("{a: 1, b: [x]}"));
  ConfigDir dir;
  dir.write("config.yaml", "defaults:\r\n  - g: a\r\n")
      .write("g/a.yaml", "# @package _global_\r\nv: 1\r\n");
  EXPECT_EQ(dir.yaml(), "v: 1\n");
}

TEST(HostileTest, AFileThatMayNotBeRead) {
  ConfigDir dir;
  dir.write("config.yaml", "a: 1\n");
  std::filesystem::permissions(dir.path() / "config.yaml", std::filesystem::perms::none);
  if (std::ifstream(dir.path() / "config.yaml")) GTEST_SKIP() << "this user may read every file";
  EXPECT_EQ(compose_error(dir), "[config] config.yaml: cannot be opened: Permission denied");
}

TEST(HostileTest, ARunFolderOfAFileStaysBelowOutputs) {
  ConfigDir dir;
  const auto error = [&](const std::string& folder) {
    dir.write("config.yaml", "run:\n  dir: " + folder + "\n");
    return compose_error(dir);
  };
  for (const char* folder : {"''", "outputs/mine", "outputs/a/../b", "outputs/mine/"}) {
    EXPECT_EQ(error(folder), "no error") << folder;
  }
  for (const char* folder : {"/tmp/x", "../x", "outputs", "outputs/..", "outputs/../../x", "x",
                             "outputs/a/../../x", ".", "${oc.env:HOME}"}) {
    EXPECT_TRUE(contains(error(folder), "must lie below outputs/")) << folder;
    EXPECT_EQ(compose_error(dir, {"run.dir=/tmp/x"}), "no error");
  }
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
