// RFC 4180 tables with LF line ends: a writer that quotes only where needed and a strict reader.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace attnlab::analysis {

/// Every row has as many fields as the header.
struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::size_t> lines;  ///< line of the file (from 1) on which each row begins

  /// Index of a column. Throws ConfigError that lists the columns where there is none.
  std::size_t column(std::string_view name) const;
};

/// One field, in quotes where it holds a comma, a quote, a line end, or space at an end.
std::string csv_field(std::string_view text);

/// Shortest text that reads back to the same double; "" for no value is the caller's affair.
std::string csv_number(double value);

/// The fields separated by commas, with a final "\n".
std::string csv_line(const std::vector<std::string>& fields);

/// Accepts LF and CRLF, a byte-order mark at the start, and a missing last line end. Throws
/// ConfigError "[csv] name:line: ..." for an empty text, an unclosed quote, text after a closing
/// quote, a quote inside an unquoted field, a duplicate column, and a row of another width.
Table parse_csv(std::string_view text, const std::string& name);

/// parse_csv of a file. Throws ConfigError where it cannot be read.
Table read_csv(const std::filesystem::path& path);

}  // namespace attnlab::analysis
