#include "analysis/table.h"

#include <algorithm>
#include <cstdint>

namespace attnlab::analysis {
namespace {

struct Decoded {
  std::uint32_t code_point;
  std::size_t length;
};

/// Bytes that are no UTF-8 count as one character each.
Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = byte(0) < 0x80   ? 1
                             : byte(0) < 0xC0 ? 0
                             : byte(0) < 0xE0 ? 2
                             : byte(0) < 0xF0 ? 3
                                              : 4;
  if (length == 0 || length > text.size()) return {byte(0), 1};
  if (length == 1) return {byte(0), 1};
  std::uint32_t code_point = byte(0) & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {byte(0), 1};
    code_point = code_point << 6 | (byte(i) & 0x3Fu);
  }
  return {code_point, length};
}

/// Ranges of the Unicode East Asian Width property that matter for names and units.
std::size_t width_of(std::uint32_t c) {
  const auto in = [c](std::uint32_t low, std::uint32_t high) { return c >= low && c <= high; };
  if (in(0x0300, 0x036F) || in(0x200B, 0x200F) || in(0xFE00, 0xFE0F)) return 0;
  const bool wide = in(0x1100, 0x115F) || in(0x2E80, 0xA4CF) || in(0xAC00, 0xD7A3) ||
                    in(0xF900, 0xFAFF) || in(0xFE30, 0xFE6F) || in(0xFF00, 0xFF60) ||
                    in(0x1F300, 0x1FAFF) || in(0x20000, 0x3FFFD);
  return wide ? 2 : 1;
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const Decoded next = decode(text);
    width += width_of(next.code_point);
    text.remove_prefix(next.length);
  }
  return width;
}

std::vector<std::size_t> TextTable::widths() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    if (row.size() > widths.size()) widths.resize(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  }
  return widths;
}

std::string TextTable::to_string(const std::vector<std::size_t>& min_widths) const {
  auto column_widths = widths();
  for (std::size_t i = 0; i < std::min(column_widths.size(), min_widths.size()); ++i) {
    column_widths[i] = std::max(column_widths[i], min_widths[i]);
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(column_widths[i] - display_width(row[i]), ' ');
      line += i == 0 ? row[i] + padding : "  " + padding + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

}  // namespace attnlab::analysis
