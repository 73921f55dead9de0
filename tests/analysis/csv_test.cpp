#include "analysis/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <limits>

#include "kernels/core/error.h"

namespace attnlab::analysis {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string error_of(const std::string& text) {
  try {
    parse_csv(text, "t.csv");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(CsvTest, QuotesOnlyWhereNeeded) {
  EXPECT_EQ(csv_line({"plain", "", "a,b", "say \"x\"", "two\nlines", "cr\r", " pad", "mid dle"}),
            "plain,,\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",\"cr\r\",\" pad\",mid dle\n");
}

TEST(CsvTest, ReadsQuotedFieldsAndLines) {
  const Table table = parse_csv(
      "\xEF\xBB\xBF"
      "a,b\r\n\"x\n\"\"y\"\"\",2\r\n,",
      "t.csv");
  EXPECT_THAT(table.header, ElementsAre("a", "b"));
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_THAT(table.rows[0], ElementsAre("x\n\"y\"", "2"));
  EXPECT_THAT(table.rows[1], ElementsAre("", ""));
  EXPECT_THAT(table.lines, ElementsAre(2u, 4u));
  EXPECT_EQ(table.column("b"), 1u);
  EXPECT_THROW(table.column("c"), ConfigError);
}

TEST(CsvTest, ErrorsNameTheLine) {
  EXPECT_THAT(error_of(""), HasSubstr("t.csv:1: the file is empty"));
  EXPECT_THAT(error_of("a,b\n1,2\n3\n"), HasSubstr("t.csv:3: 1 fields where the header has 2"));
  EXPECT_THAT(error_of("a,b\n1,2\n\"x\n\n"), HasSubstr("t.csv:3: a quoted field begins here"));
  EXPECT_THAT(error_of("a\n\"x\"y\n"), HasSubstr("t.csv:2: text after a closing quote"));
  EXPECT_THAT(error_of("a\nx\"y\n"), HasSubstr("t.csv:2: a quote inside a field"));
  EXPECT_THAT(error_of("a,b,a\n"), HasSubstr("column 'a' occurs twice"));
}

TEST(CsvTest, UnreadableFilesAreErrors) {
  EXPECT_THROW(read_csv("/nonexistent/results.csv"), ConfigError);
  EXPECT_THROW(read_csv(std::filesystem::temp_directory_path()), ConfigError);
}

TEST(CsvTest, AnyFieldsSurvive) {
  EXPECT_TRUE(rc::check("fields round trip", [] {
    const auto width = *rc::gen::inRange<std::size_t>(1, 5);
    const auto any_row = rc::gen::container<std::vector<std::string>>(
        width, rc::gen::container<std::string>(rc::gen::oneOf(
                   rc::gen::arbitrary<char>(), rc::gen::element(',', '"', '\n', '\r'))));
    std::vector<std::string> header;
    for (std::size_t i = 0; i < width; ++i) header.push_back("c" + std::to_string(i));
    const auto row = *any_row;
    const Table table = parse_csv(csv_line(header) + csv_line(row) + csv_line(row), "t");
    RC_ASSERT(table.rows.size() == 2u);
    RC_ASSERT(table.rows[0] == row);
    RC_ASSERT(table.rows[1] == row);
  }));
}

TEST(CsvTest, NumbersReadBackToTheSameBits) {
  EXPECT_EQ(csv_number(0.1), "0.1");
  EXPECT_EQ(csv_number(1e300), "1e+300");
  EXPECT_EQ(csv_number(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_TRUE(rc::check("doubles round trip",
                        [](double value) { RC_ASSERT(std::stod(csv_number(value)) == value); }));
}

}  // namespace
}  // namespace attnlab::analysis
