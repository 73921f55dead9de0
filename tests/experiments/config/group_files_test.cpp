#include "experiments/config/group_files.h"

#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

TEST(GroupFilesTest, OptionsWithTheirFirstCommentLine) {
  ConfigDir first, second;
  first.write("g/b.yaml", "# @package _global_\n# What b is.\nx: 1\n")
      .write("g/a.yaml", "x: 1\n# no\n");
  second.write("g/b.yaml", "# Hidden.\n")
      .write("g/c.yaml", "\n## What c is.\n")
      .write("g/d.yml", "");
  const auto options = group_options({first.path(), second.path()}, "g");
  ASSERT_EQ(options.size(), 3u);
  EXPECT_EQ(options[0].name + "|" + options[0].description, "a|");
  EXPECT_EQ(options[1].name + "|" + options[1].description, "b|What b is.");
  EXPECT_EQ(options[2].name + "|" + options[2].description, "c|What c is.");
  EXPECT_TRUE(group_options({first.path()}, "nothing").empty());
}

TEST(GroupFilesTest, LinksMayNotLeadOut) {
  ConfigDir dir, outside;
  outside.write("secret.yaml", "password: x\n");
  dir.write("config.yaml", "defaults: [{g: a}]\n").write("g/b.yaml", "");
  std::filesystem::create_symlink(outside.path() / "secret.yaml", dir.path() / "g/a.yaml");
  EXPECT_EQ(compose_error(dir),
            "[config] g/a.yaml: the link leads out of the config folder 'DIR'; copy "
            "the file, or name its folder with --config-dir");
  EXPECT_EQ(group_options({dir.path()}, "g").size(), 1u);
  EXPECT_NE(message_of([&] { group_options({dir.path()}, "../x"); }), "no error");
}

TEST(GroupFilesTest, AFileMustHoldAMap) {
  ConfigDir dir;
  dir.write("config.yaml", "- a\n");
  EXPECT_EQ(compose_error(dir),
            "[config] config.yaml:1:1: a config file holds a map (key: value), not a list");
}

}  // namespace
}  // namespace attnlab::config
