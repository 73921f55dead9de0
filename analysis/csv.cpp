#include "analysis/csv.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>

#include "kernels/core/error.h"

namespace attnlab::analysis {
namespace {

/// Reads one record after the other; keeps the line for messages.
class Parser {
 public:
  Parser(std::string_view text, const std::string& name) : text_(text), name_(name) {
    if (text_.starts_with("\xEF\xBB\xBF")) pos_ = 3;
  }

  bool at_end() const { return pos_ == text_.size(); }
  std::size_t line() const { return line_; }

  std::vector<std::string> record() {
    std::vector<std::string> fields;
    do {
      fields.push_back(at('"') ? quoted() : plain());
    } while (take(','));
    if (!at_end() && !take_line_end()) fail("text after a closing quote");
    return fields;
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw ConfigError(
        fmt::format("[csv] {}:{}: {}; fields with commas, quotes or line ends need "
                    "quotes around them, and a quote inside is doubled",
                    name_, line_, what));
  }

 private:
  bool at(char c) const { return pos_ < text_.size() && text_[pos_] == c; }

  bool take(char c) {
    if (!at(c)) return false;
    ++pos_;
    return true;
  }

  bool take_line_end() {
    if (text_.substr(pos_).starts_with("\r\n")) ++pos_;
    if (!take('\n')) return false;
    ++line_;
    return true;
  }

  std::string plain() {
    const std::size_t begin = pos_;
    while (!at_end() && text_[pos_] != ',' && text_[pos_] != '\n') {
      if (text_[pos_] == '"') fail("a quote inside a field that does not begin with one");
      ++pos_;
    }
    std::size_t end = pos_;
    if (at('\n') && end > begin && text_[end - 1] == '\r') --end;
    return std::string(text_.substr(begin, end - begin));
  }

  std::string quoted() {
    const std::size_t first_line = line_;
    std::string field;
    ++pos_;
    while (true) {
      if (at_end()) {
        line_ = first_line;
        fail("a quoted field begins here and is never closed");
      }
      const char c = text_[pos_++];
      if (c == '"' && !take('"')) return field;
      if (c == '\n') ++line_;
      field += c;
    }
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t pos_ = 0;
  std::size_t line_ = 1;
};

}  // namespace

std::size_t Table::column(std::string_view name) const {
  const auto found = std::find(header.begin(), header.end(), name);
  if (found == header.end()) {
    std::string known;
    for (const auto& column : header) known += " " + column;
    throw ConfigError(fmt::format("[csv] no column '{}'; the table has:{}", name, known));
  }
  return static_cast<std::size_t>(found - header.begin());
}

std::string csv_field(std::string_view text) {
  const bool spaced = !text.empty() && (text.front() == ' ' || text.back() == ' ');
  if (!spaced && text.find_first_of(",\"\r\n") == std::string_view::npos &&
      !text.starts_with("\xEF\xBB\xBF")) {
    return std::string(text);
  }
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string csv_number(double value) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return {buffer.data(), end};
}

std::string csv_line(const std::vector<std::string>& fields) {
  // A lone empty field would be a blank line, which readers skip.
  if (fields.size() == 1 && fields[0].empty()) return "\"\"\n";
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) line += ',';
    line += csv_field(fields[i]);
  }
  return line + '\n';
}

Table parse_csv(std::string_view text, const std::string& name) {
  Parser parser(text, name);
  if (parser.at_end()) {
    throw ConfigError(
        fmt::format("[csv] {}:1: the file is empty; the first line must name the columns", name));
  }
  Table table;
  table.header = parser.record();
  auto sorted = table.header;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) {
    throw ConfigError(
        fmt::format("[csv] {}:1: column '{}' occurs twice; rename one of them", name, *twice));
  }
  while (!parser.at_end()) {
    const std::size_t line = parser.line();
    auto row = parser.record();
    if (row.size() != table.header.size()) {
      throw ConfigError(
          fmt::format("[csv] {}:{}: {} fields where the header has {}; repair or remove "
                      "the line",
                      name, line, row.size(), table.header.size()));
    }
    table.rows.push_back(std::move(row));
    table.lines.push_back(line);
  }
  return table;
}

Table read_csv(const std::filesystem::path& path) {
  std::error_code error;
  std::ifstream file(path, std::ios::binary);
  std::string text;
  const bool readable = file.is_open() && !std::filesystem::is_directory(path, error);
  if (readable) text.assign(std::istreambuf_iterator<char>(file), {});
  if (!readable || file.bad()) {
    throw ConfigError(
        fmt::format("[csv] cannot read '{}'; give the path of a results.csv", path.string()));
  }
  return parse_csv(text, path.string());
}

}  // namespace attnlab::analysis
