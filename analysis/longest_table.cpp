#include "analysis/longest_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "analysis/format.h"
#include "analysis/summary.h"
#include "analysis/table.h"

namespace attnlab::analysis {
namespace {

constexpr std::array<std::string_view, 10> kGroupColumns = {
    "dtype",    "device", "batch",  "heads",   "kv_heads",
    "head_dim", "causal", "inputs", "threads", "seed"};

bool is_summary(const Record& record) { return record.metric == "longest_seqlen"; }

std::string title_of(const Record& record) {
  std::string title =
      fmt::format("longest sequence that fits; {} on {}: batch {}, heads {}", record.dtype,
                  record.device, record.batch.value_or(0), record.heads.value_or(0));
  if (record.kv_heads != record.heads) {
    title += fmt::format(", kv_heads {}", record.kv_heads.value_or(0));
  }
  title += fmt::format(", head_dim {}", record.head_dim.value_or(0));
  if (record.causal.value_or(false)) title += ", causal";
  title += fmt::format(", {} inputs, {} thread{}", record.inputs, record.threads.value_or(0),
                       record.threads == 1 ? "" : "s");
  if (record.seed.value_or(0) != 0) title += fmt::format(", seed {}", *record.seed);
  return title;
}

/// What searches of one block share.
std::string group_of(const Record& record) {
  std::string key;
  for (const auto column : kGroupColumns) key += find_column(column)->get(record) + "\n";
  return key;
}

/// "003_" of "003_flash_longest_forward": what the rows of one search begin with.
std::string_view search_of(const Record& record) {
  const std::string_view id = record.trial_id;
  return id.substr(0, id.find('_') + 1);
}

/// The probes of a search by length. Where queries keep their length, keys are what grew.
std::map<std::int64_t, const Record*> probes_of(const Record& summary,
                                                std::span<const Record> records) {
  std::map<std::int64_t, const Record*> probes;
  for (const Record& record : records) {
    if (is_summary(record) || record.run_id != summary.run_id ||
        search_of(record) != search_of(summary)) {
      continue;
    }
    const bool keys = summary.metric_value && summary.seqlen_q &&
                      static_cast<double>(*summary.seqlen_q) != *summary.metric_value;
    probes[(keys ? record.seqlen_k : record.seqlen_q).value_or(0)] = &record;
  }
  return probes;
}

/// What hindered a probe.
std::string hindrance(const Record& probe) {
  switch (probe.status.value_or(Status::kFailed)) {
    case Status::kOom: return "memory";
    case Status::kOk: return "time";
    case Status::kSkipped: return "time (predicted)";
    default: return std::string(status_name(probe.status.value_or(Status::kFailed)));
  }
}

std::vector<std::string> row_of(const Record& summary, std::span<const Record> records) {
  std::vector<std::string> cells = {"  " + variant_label(summary), summary.direction};
  const auto probes = probes_of(summary, records);
  if (!summary.metric_value) {
    cells.insert(cells.end(), {"none", "-", "-"});
    cells.push_back(probes.empty() ? std::string(status_name(summary.status.value()))
                                   : fmt::format("{} at {}", hindrance(*probes.begin()->second),
                                                 probes.begin()->first));
    return cells;
  }
  const auto longest = static_cast<std::int64_t>(*summary.metric_value);
  const auto at = probes.find(longest);
  const Record* const probe = at == probes.end() ? nullptr : at->second;
  cells.push_back(std::to_string(longest));
  cells.push_back(probe != nullptr && probe->time_median_ms ? format_time_ms(*probe->time_median_ms)
                                                            : "-");
  cells.push_back(probe != nullptr && probe->peak_bytes ? format_bytes(*probe->peak_bytes) : "-");
  const auto bound = probes.upper_bound(longest);
  cells.push_back(bound == probes.end()
                      ? "nothing up to longest.max"
                      : fmt::format("{} at {}", hindrance(*bound->second), bound->first));
  return cells;
}

}  // namespace

std::string longest_table(std::span<const Record> records) {
  std::vector<std::pair<const Record*, TextTable>> blocks;
  for (const Record& record : records) {
    if (!is_summary(record)) continue;
    auto block = std::find_if(blocks.begin(), blocks.end(), [&](const auto& candidate) {
      return group_of(*candidate.first) == group_of(record);
    });
    if (block == blocks.end()) {
      block = blocks.insert(block, {&record, TextTable()});
      block->second.add_row(
          {"  variant", "direction", "longest N", "time", "peak memory", "stopped by"});
    }
    block->second.add_row(row_of(record, records));
  }
  std::string text;
  for (const auto& [first, rows] : blocks) {
    text += (text.empty() ? "" : "\n") + title_of(*first) + "\n" + rows.to_string();
  }
  return text;
}

}  // namespace attnlab::analysis
