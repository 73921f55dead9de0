#include "analysis/evaluations_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>
#include <vector>

#include "analysis/format.h"
#include "analysis/summary.h"
#include "analysis/table.h"
#include "kernels/core/error.h"

namespace attnlab::analysis {
namespace {

/// Values by test.
using Row = std::map<std::string, double>;

struct Block {
  std::string title;
  std::vector<std::string> tests;  ///< in order of first appearance
  std::vector<std::pair<std::string, Row>> trainings;
  std::vector<std::pair<std::string, Row>> levels;
};

double number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw ConfigError(fmt::format("[evaluations] '{}' is no number of a test.", text));
  }
  return value;
}

/// What only some trainings of a block have stands below theirs.
bool is_of_the_variant(const std::string& level) { return level.starts_with("reach_of_"); }

Row& row_of(std::vector<std::pair<std::string, Row>>& rows, const std::string& name) {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.first == name; });
  if (found != rows.end()) return found->second;
  return rows.emplace_back(name, Row()).second;
}

std::string training_label(const Record& record) {
  std::string label = variant_label(record);
  if (!record.dtype.empty() && record.dtype != "float32") label += " dtype=" + record.dtype;
  if (record.seed.value_or(0) != 0) label += fmt::format(" seed={}", *record.seed);
  return label;
}

std::string block_title(const Record& record) {
  return fmt::format("{}, trained at {} tokens: {} on the test part", record.task,
                     record.seqlen_q.value_or(0), record.metric);
}

Block& block_of(std::vector<Block>& blocks, const std::string& title) {
  const auto found = std::find_if(blocks.begin(), blocks.end(),
                                  [&](const Block& block) { return block.title == title; });
  if (found != blocks.end()) return *found;
  return blocks.emplace_back(Block{title, {}, {}, {}});
}

void add_row(TextTable& table, const Block& block, const std::string& name, const Row& row) {
  std::vector<std::string> cells = {"  " + name};
  for (const std::string& test : block.tests) {
    const auto value = row.find(test);
    cells.push_back(value == row.end() ? "-" : format_number(value->second));
  }
  table.add_row(std::move(cells));
}

std::string block_text(const Block& block) {
  TextTable table;
  std::vector<std::string> head = {"  test"};
  for (const std::string& test : block.tests) head.push_back(test.empty() ? "as trained" : test);
  table.add_row(std::move(head));
  std::vector<std::string> labels;
  for (const auto& [name, row] : block.trainings) labels.push_back(name);
  for (const auto& [name, row] : block.trainings) {
    add_row(table, block, short_label(name, labels), row);
    for (const auto& [level, reach] : block.levels) {
      if (is_of_the_variant(level) && level.ends_with(" of " + name)) {
        add_row(table, block, "  (" + level.substr(0, level.find(' ')) + ")", reach);
      }
    }
  }
  for (const auto& [name, row] : block.levels) {
    if (!is_of_the_variant(name)) add_row(table, block, "(" + name + ")", row);
  }
  return block.title + "\n" + table.to_string();
}

}  // namespace

std::string evaluations_table(std::span<const Record> records, const Table& evaluations) {
  const std::size_t id = evaluations.column("trial_id"), test = evaluations.column("test"),
                    by = evaluations.column("answered_by"), slice = evaluations.column("slice"),
                    value = evaluations.column("value");
  std::vector<Block> blocks;
  for (const Record& record : records) {
    if (record.task.empty() || record.status != Status::kOk) continue;
    Block& block = block_of(blocks, block_title(record));
    const std::string label = training_label(record);
    for (const auto& row : evaluations.rows) {
      if (row[id] != record.trial_id || !row[slice].empty()) continue;
      if (std::find(block.tests.begin(), block.tests.end(), row[test]) == block.tests.end()) {
        block.tests.push_back(row[test]);
      }
      const bool model = row[by] == "model";
      const std::string name = is_of_the_variant(row[by]) ? row[by] + " of " + label : row[by];
      row_of(model ? block.trainings : block.levels, model ? label : name)
          .try_emplace(row[test], number(row[value]));
    }
  }
  std::string text;
  for (const Block& block : blocks) text += (text.empty() ? "" : "\n") + block_text(block);
  return text;
}

}  // namespace attnlab::analysis
