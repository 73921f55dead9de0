#include "analysis/summary.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "analysis/format.h"
#include "analysis/statistics.h"
#include "analysis/table.h"

namespace attnlab::analysis {
namespace {

constexpr std::size_t kLengthsPerBlock = 6;
constexpr std::size_t kLabelWidth = 28;
constexpr std::string_view kNone = "-";

using Length = std::pair<std::int64_t, std::int64_t>;  // seqlen_q, seqlen_k

/// What all trials of a block share, as (column, text) in the order of the title.
using GroupKey = std::vector<std::string>;

constexpr std::array<std::string_view, 12> kGroupColumns = {
    "direction", "dtype",  "device", "batch",   "heads", "kv_heads",
    "head_dim",  "causal", "inputs", "threads", "task",  "seed"};

struct Block {
  GroupKey key;
  std::vector<std::string> labels;  // rows, in order of first appearance
  std::map<std::string, std::map<Length, const Record*>> cells;
  std::set<Length> lengths;
};

/// One part of a block.
struct Section {
  std::string title;
  std::function<std::optional<double>(const Record&)> value;
  std::function<std::string(double)> format;
  bool shows_status = false;
  bool shows_growth = false;
};

std::optional<double> as_double(const std::optional<std::int64_t>& value) {
  if (!value) return std::nullopt;
  return static_cast<double>(*value);
}

const std::vector<Section>& sections() {
  static const std::vector<Section> list = {
      {"time (median)", [](const Record& r) { return r.time_median_ms; }, format_time_ms, true,
       true},
      {"peak memory", [](const Record& r) { return as_double(r.peak_bytes); },
       [](double bytes) { return format_bytes(static_cast<std::int64_t>(bytes)); }, false, true},
      {"loss: distance to exact full attention (relative L2; 0 = none, 1 = all)",
       [](const Record& r) { return r.approx_error; }, format_number},
      {"rounding: error / error of the same formula in plain Torch (gate: 2, gradients 3)",
       [](const Record& r) { return r.error_ratio; }, format_number},
      {"task metric", [](const Record& r) { return r.metric_value; }, format_number},
  };
  return list;
}

GroupKey group_key(const Record& record) {
  GroupKey key;
  for (const auto column : kGroupColumns) key.push_back(find_column(column)->get(record));
  return key;
}

Length length_of(const Record& record) {
  return {record.seqlen_q.value_or(0), record.seqlen_k.value_or(0)};
}

std::vector<Block> group(std::span<const Record> records) {
  std::vector<Block> blocks;
  for (const Record& record : records) {
    const GroupKey key = group_key(record);
    auto block = std::find_if(blocks.begin(), blocks.end(),
                              [&](const Block& candidate) { return candidate.key == key; });
    if (block == blocks.end()) block = blocks.insert(blocks.end(), Block{key, {}, {}, {}});
    const std::string label = variant_label(record);
    if (!block->cells.contains(label)) block->labels.push_back(label);
    block->cells[label][length_of(record)] = &record;
    block->lengths.insert(length_of(record));
  }
  return blocks;
}

std::string block_title(const GroupKey& key) {
  const auto text = [&](std::string_view column) {
    const auto at = std::find(kGroupColumns.begin(), kGroupColumns.end(), column);
    return key[static_cast<std::size_t>(at - kGroupColumns.begin())];
  };
  std::string title = fmt::format("{}, {} on {}: batch {}, heads {}", text("direction"),
                                  text("dtype"), text("device"), text("batch"), text("heads"));
  if (text("kv_heads") != text("heads")) title += fmt::format(", kv_heads {}", text("kv_heads"));
  title += fmt::format(", head_dim {}", text("head_dim"));
  if (text("causal") == "true") title += ", causal";
  if (!text("inputs").empty()) title += fmt::format(", {} inputs", text("inputs"));
  if (!text("threads").empty()) {
    title += fmt::format(", {} thread{}", text("threads"), text("threads") == "1" ? "" : "s");
  }
  if (!text("task").empty()) title += fmt::format(", task {}", text("task"));
  if (!text("seed").empty() && text("seed") != "0") title += fmt::format(", seed {}", text("seed"));
  return title;
}

std::string cell_text(const Section& section, const Record* record) {
  if (record == nullptr) return std::string(kNone);
  const Status status = record->status.value_or(Status::kFailed);
  if (section.shows_status && status != Status::kOk) return std::string(status_name(status));
  const auto value = section.value(*record);
  return value ? section.format(*value) : std::string(kNone);
}

/// "N^1.98"; "-" where fewer than two lengths have a value, or queries and keys differ in length.
std::string growth_text(const Section& section, const std::map<Length, const Record*>& row) {
  std::vector<double> x;
  std::vector<double> y;
  for (const auto& [length, record] : row) {
    if (section.shows_status && record->status != Status::kOk) continue;
    const auto value = section.value(*record);
    if (!value || *value <= 0 || length.first != length.second || length.first <= 0) continue;
    x.push_back(static_cast<double>(length.first));
    y.push_back(*value);
  }
  if (x.size() < 2) return std::string(kNone);
  return fmt::format("N^{:.2f}", log_log_slope(x, y));
}

std::string length_text(const Length& length) {
  return length.first == length.second ? fmt::format("{}", length.first)
                                       : fmt::format("{}x{}", length.first, length.second);
}

bool has_value(const Section& section, const Block& block) {
  for (const auto& [label, row] : block.cells) {
    for (const auto& [length, record] : row) {
      if (section.shows_status || section.value(*record)) return true;
    }
  }
  return false;
}

/// "full a=1 model.depth=3" as words.
std::vector<std::string> words_of(const std::string& label) {
  std::istringstream stream(label);
  return {std::istream_iterator<std::string>(stream), {}};
}

TextTable section_rows(const Section& section, const Block& block,
                       std::span<const Length> lengths) {
  TextTable rows;
  for (const auto& label : block.labels) {
    const auto& row = block.cells.at(label);
    std::vector<std::string> cells = {"  " + short_label(label, block.labels)};
    for (const Length& length : lengths) {
      const auto found = row.find(length);
      cells.push_back(cell_text(section, found == row.end() ? nullptr : found->second));
    }
    if (section.shows_growth) cells.push_back(growth_text(section, row));
    rows.add_row(std::move(cells));
  }
  return rows;
}

std::string block_text(const Block& block, std::span<const Length> lengths) {
  TextTable head;
  std::vector<std::string> titles = {"  sequence length N"};
  for (const Length& length : lengths) titles.push_back(length_text(length));
  titles.emplace_back("growth");
  head.add_row(std::move(titles));

  std::vector<std::pair<std::string, TextTable>> parts;
  std::vector<std::size_t> widths = head.widths();
  for (const Section& section : sections()) {
    if (!has_value(section, block)) continue;
    parts.emplace_back(section.title, section_rows(section, block, lengths));
    const auto part_widths = parts.back().second.widths();
    for (std::size_t i = 0; i < part_widths.size(); ++i) {
      widths[i] = std::max(widths[i], part_widths[i]);
    }
  }
  std::string text = block_title(block.key) + "\n" + head.to_string(widths);
  for (const auto& [title, rows] : parts) text += " " + title + "\n" + rows.to_string(widths);
  return text;
}

/// Without what it says about its model in common with all others.
std::string without_common_model(const std::string& label, std::span<const std::string> all) {
  std::string kept;
  for (const std::string& word : words_of(label)) {
    const bool common =
        word.starts_with("model.") && std::ranges::all_of(all, [&](const std::string& other) {
          const std::vector<std::string> words = words_of(other);
          return std::ranges::find(words, word) != words.end();
        });
    if (!common) kept += (kept.empty() ? "" : " ") + word;
  }
  return kept;
}

}  // namespace

std::string variant_label(const Record& record) {
  std::string label = record.variant;
  const auto options = nlohmann::ordered_json::parse(record.options, nullptr, false);
  if (!options.is_object()) return label;
  for (const auto& [name, value] : options.items()) {
    label +=
        fmt::format(" {}={}", name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return label;
}

std::string short_label(const std::string& label, std::span<const std::string> all) {
  const std::string variant = label.substr(0, label.find(' '));
  const auto same_variant = [&](const std::string& other) {
    return other.substr(0, other.find(' ')) == variant;
  };
  const bool needed = std::ranges::count_if(all, same_variant) > 1;
  const std::string shown = without_common_model(label, all);
  return needed || display_width(shown) <= kLabelWidth ? shown : variant;
}

std::string summary_table(std::span<const Record> records) {
  std::string text;
  for (const Block& block : group(records)) {
    const std::vector<Length> lengths(block.lengths.begin(), block.lengths.end());
    for (std::size_t begin = 0; begin < lengths.size(); begin += kLengthsPerBlock) {
      const std::size_t count = std::min(kLengthsPerBlock, lengths.size() - begin);
      if (!text.empty()) text += '\n';
      text += block_text(block, std::span(lengths).subspan(begin, count));
    }
  }
  return text;
}

}  // namespace attnlab::analysis
