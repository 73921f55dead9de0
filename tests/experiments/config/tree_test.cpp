#include "experiments/config/tree.h"

#include <cmath>
#include <limits>

#include "tests/experiments/config/support.h"

namespace attnlab::config {
namespace {

TEST(TreeTest, PathsReachMapsAndLists) {
  const Tree tree = yaml("{a: {b: [1, {c: x}]}}");
  EXPECT_EQ(tree.find_path("a.b.0")->as_int(), 1);
  EXPECT_EQ(tree.find_path("a.b.1.c")->as_string(), "x");
  EXPECT_EQ(tree.find_path(""), &tree);
  for (const char* path : {"a.x", "a.b.2", "a.b.-1", "a.b.x", "a.b.0.c", ".", "a."}) {
    EXPECT_EQ(tree.find_path(path), nullptr) << path;
  }
}

TEST(TreeTest, ChangesMakeANewTree) {
  const Tree before = yaml("{a: {b: 1, c: 2}, d: [1, 2]}");
  const Tree after = before.with_path("a.b", Tree::of_int(5)).with_path("d.1", Tree::of_int(7));
  EXPECT_EQ(before, yaml("{a: {b: 1, c: 2}, d: [1, 2]}"));
  EXPECT_EQ(after, yaml("{a: {b: 5, c: 2}, d: [1, 7]}"));
  EXPECT_EQ(before.with_path("x.y", Tree::of_int(1)),
            yaml("{a: {b: 1, c: 2}, d: [1, 2], x: {y: 1}}"));
  EXPECT_EQ(before.without_path("a.b"), yaml("{a: {c: 2}, d: [1, 2]}"));
  EXPECT_EQ(before.without_path("d.0"), yaml("{a: {b: 1, c: 2}, d: [2]}"));
  EXPECT_EQ(before.without_path("a.x.y"), before);
}

TEST(TreeTest, WrongKindsAreProgramErrors) {
  EXPECT_THROW(Tree::of_int(1).as_string(), std::logic_error);
  EXPECT_THROW(Tree::of_string("x").items(), std::logic_error);
  EXPECT_THROW(Tree::of_map({{"a", Tree()}, {"a", Tree()}}), std::logic_error);
}

TEST(TreeTest, LongMapsFindEveryKeyAndNoTwins) {
  std::vector<Tree::Entry> entries;
  for (int i = 0; i < 1000; ++i) entries.emplace_back("key" + std::to_string(i), Tree::of_int(i));
  const Tree tree = Tree::of_map(entries);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(tree.find("key" + std::to_string(i))->as_int(), i);
  EXPECT_EQ(tree.find("key1000"), nullptr);
  entries.emplace_back("key500", Tree());
  EXPECT_THROW(Tree::of_map(entries), std::logic_error);
}

TEST(TreeTest, EqualityIgnoresKeyOrderAndPlaceButNotKinds) {
  EXPECT_EQ(yaml("{a: 1, b: 2}"), yaml("b: 2\na: 1\n"));
  EXPECT_FALSE(yaml("a: 1") == yaml("a: 1.0"));
  EXPECT_FALSE(yaml("a: 1") == yaml("a: '1'"));
  EXPECT_FALSE(yaml("a: null") == yaml("{}"));
  EXPECT_FALSE(yaml("[1, 2]") == yaml("[2, 1]"));
  EXPECT_EQ(yaml(".nan"), yaml(".nan"));
}

TEST(TreeTest, MergeGoesIntoMapsOnly) {
  EXPECT_EQ(merge(yaml("{a: {x: 1, y: 2}, l: [1, 2]}"), yaml("{a: {y: 3, z: 4}, l: [5]}")),
            yaml("{a: {x: 1, y: 3, z: 4}, l: [5]}"));
  EXPECT_EQ(merge(yaml("{a: {x: 1}}"), yaml("{a: null}")), yaml("{a: null}"));
  EXPECT_EQ(merge(yaml("{a: 1}"), yaml("{a: {x: 1}}")), yaml("{a: {x: 1}}"));
}

TEST(TreeTest, MissingDoesNotReplaceAValue) {
  EXPECT_EQ(merge(yaml("{a: 1}"), yaml("{a: '\?\?\?'}")), yaml("{a: 1}"));
  EXPECT_EQ(merge(yaml("{a: '\?\?\?'}"), yaml("{a: 1}")), yaml("{a: 1}"));
}

TEST(TreeTest, CountsNodesAndDepth) {
  EXPECT_EQ(yaml("{a: [1, 2], b: 3}").node_count(), 5u);
  EXPECT_EQ(yaml("{a: [1, 2], b: 3}").depth(), 3u);
}

}  // namespace
}  // namespace attnlab::config
