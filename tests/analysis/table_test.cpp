#include "analysis/table.h"

#include <gtest/gtest.h>

namespace attnlab::analysis {
namespace {

TEST(TableTest, WidthCountsWhatATerminalShows) {
  EXPECT_EQ(display_width(""), 0u);
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("µs"), 2u);
  EXPECT_EQ(display_width("e\xCC\x81"), 1u);  // e and a combining accent
  EXPECT_EQ(display_width("長い"), 4u);
  EXPECT_EQ(display_width("\xFF\xC3"), 2u);  // no UTF-8
}

TEST(TableTest, AlignsNamesLeftAndNumbersRight) {
  TextTable table;
  table.add_row({"name", "N", "time"});
  table.add_row({"x", "长", "1 µs"});
  table.add_row({"y"});
  EXPECT_EQ(table.to_string(), "name   N  time\nx     长  1 µs\ny\n");
}

TEST(TableTest, MinimumWidthsLineTablesUp) {
  TextTable table;
  table.add_row({"a", "1"});
  EXPECT_EQ(table.to_string({3, 4}), "a       1\n");
}

}  // namespace
}  // namespace attnlab::analysis
