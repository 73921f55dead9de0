#include "kernels/core/names.h"

#include <gtest/gtest.h>

namespace attnlab {
namespace {

TEST(NamesTest, EditDistanceCountsSteps) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("flahs", "flash"), 1u);  // a swap of neighbours is one step
  EXPECT_EQ(edit_distance("Seqlen", "seqlen"), 0u);
  EXPECT_EQ(edit_distance("sliding-window", "sliding_window"), 0u);
}

TEST(NamesTest, NearestIsTheClosestOfThoseNear) {
  const std::vector<std::string> known = {"full", "flash", "sliding_window", "linear"};
  EXPECT_EQ(nearest_name("flsh", known), "flash");
  EXPECT_EQ(nearest_name("slidingwindow", known), "sliding_window");
  EXPECT_EQ(nearest_name("liner", known), "linear");
}

TEST(NamesTest, FarOrEmptyNamesHaveNoNearest) {
  EXPECT_EQ(nearest_name("convolution", {"full", "flash"}), "");
  EXPECT_EQ(nearest_name("", {"full"}), "");
  EXPECT_EQ(nearest_name("ab", {"cd"}), "");  // nothing of the name is left
  EXPECT_EQ(nearest_name("full", {}), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'a'), {"full"}), "");
}

TEST(NamesTest, TextForMessages) {
  EXPECT_EQ(did_you_mean("flsh", {"flash"}), " Did you mean 'flash'?");
  EXPECT_EQ(did_you_mean("xyz123", {"flash"}), "");
  EXPECT_EQ(join_names({"a", "b", "c"}), "a, b, c");
  EXPECT_EQ(join_names({}), "");
}

}  // namespace
}  // namespace attnlab
