#include "analysis/format.h"

#include <gtest/gtest.h>

#include <limits>

namespace attnlab::analysis {
namespace {

TEST(FormatTest, Times) {
  EXPECT_EQ(format_time_ms(0), "0.00 ns");
  EXPECT_EQ(format_time_ms(0.00085), "850 ns");
  EXPECT_EQ(format_time_ms(0.0123), "12.3 us");
  EXPECT_EQ(format_time_ms(4.314), "4.31 ms");
  EXPECT_EQ(format_time_ms(999.4), "999 ms");
  EXPECT_EQ(format_time_ms(999.7), "1.00 s");
  EXPECT_EQ(format_time_ms(12345), "12.3 s");
  EXPECT_EQ(format_time_ms(59.9e3), "1 min 00 s");
  EXPECT_EQ(format_time_ms(125.2e3), "2 min 05 s");
}

TEST(FormatTest, Bytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.00 KiB");
  EXPECT_EQ(format_bytes(35756442), "34.1 MiB");
  EXPECT_EQ(format_bytes(1023 * 1024), "1023 KiB");
  EXPECT_EQ(format_bytes(1024 * 1024 - 1), "1.00 MiB");
  EXPECT_EQ(format_bytes(-2048), "-2.00 KiB");
  EXPECT_EQ(format_bytes(std::numeric_limits<std::int64_t>::max()), "8.00 EiB");
}

TEST(FormatTest, Numbers) {
  EXPECT_EQ(format_number(0), "0");
  EXPECT_EQ(format_number(0.012345), "0.0123");
  EXPECT_EQ(format_number(1), "1");
  EXPECT_EQ(format_number(999.7), "1000");
  EXPECT_EQ(format_number(12345.6), "12346");
  EXPECT_EQ(format_number(4.5e-7), "4.5e-07");
  EXPECT_EQ(format_number(1e6), "1.0e+06");
  EXPECT_EQ(format_number(std::numeric_limits<double>::infinity()), "inf");
}

}  // namespace
}  // namespace attnlab::analysis
