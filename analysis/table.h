// Text tables with aligned columns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace attnlab::analysis {

/// Columns that UTF-8 text takes in a terminal: combining marks 0, wide East Asian characters 2.
std::size_t display_width(std::string_view text);

/// The first column is aligned left, the others right. A row may be shorter than the widest one.
class TextTable {
 public:
  void add_row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  /// Each line ends with "\n", without trailing spaces; columns are two spaces apart, and each is
  /// at least as wide as `min_widths` says (so that tables below each other line up).
  std::string to_string(const std::vector<std::size_t>& min_widths = {}) const;

  /// Width of each column.
  std::vector<std::size_t> widths() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace attnlab::analysis
