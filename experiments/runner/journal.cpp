#include "experiments/runner/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <utility>

#include "analysis/csv.h"
#include "kernels/core/error.h"

namespace attnlab::runner {
namespace {

const char* const kSamplesHeader = "trial_id,sample,time_ms\n";

std::string samples_rows(const JournalEntry& entry) {
  std::string rows;
  for (std::size_t i = 0; i < entry.samples_ms.size(); ++i) {
    rows += analysis::csv_line(
        {entry.record.trial_id, std::to_string(i), analysis::csv_number(entry.samples_ms[i])});
  }
  return rows;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

std::string damage_message(const std::filesystem::path& path, const Damage& damage) {
  if (damage.torn) {
    return fmt::format(
        "{}:{}: the last line was not finished ({} bytes), as a crash leaves it; it is kept in "
        "{}.torn, and its trial has no row\n",
        path.string(), damage.line, damage.text.size(), path.filename().string());
  }
  return fmt::format("{}:{}: damaged: {}; kept in {}.torn, all whole lines are used\n",
                     path.string(), damage.line, damage.problem, path.filename().string());
}

}  // namespace

Journal::Journal(const std::filesystem::path& folder, std::vector<std::string> order)
    : Journal(folder, std::move(order), std::cerr) {}

Journal::Journal(const std::filesystem::path& folder, std::vector<std::string> order,
                 std::ostream& messages)
    : path_(folder / "results.jsonl"),
      csv_path_(folder / "results.csv"),
      samples_path_(folder / "samples.csv") {
  for (const std::string& trial_id : order) rank(trial_id);
  recover(messages);
  lines_.emplace(path_);
  write_samples();
  write_csv();
}

void Journal::recover(std::ostream& messages) {
  if (!std::filesystem::exists(path_)) return;
  const std::string text = process::read_file(path_);
  JournalContents contents = parse_journal(text);
  const std::string whole = joined(contents.lines);
  if (whole != text) {
    std::string kept;
    for (const Damage& damage : contents.damage) {
      kept += damage.text + "\n";
      messages << damage_message(path_, damage);
    }
    messages << std::flush;
    if (!kept.empty()) process::AppendFile(path_.string() + ".torn").append(kept);
    process::write_file(path_, whole);
  }
  for (JournalEntry& entry : contents.entries) keep(std::move(entry));
}

void Journal::append(JournalEntry entry) {
  const JournalEntry* const previous = find(entry.record.trial_id);
  const bool had_samples = previous != nullptr && !previous->samples_ms.empty();
  entry.record.attempt = previous == nullptr ? 1 : previous->record.attempt.value_or(1) + 1;
  lines_->append(encode_entry(entry));
  const std::string rows = samples_rows(entry);
  keep(std::move(entry));
  if (had_samples) {
    write_samples();
  } else if (!rows.empty()) {
    samples_->append(rows);
  }
  write_csv();
}

void Journal::append(const analysis::Record& record, const std::vector<double>& samples_ms) {
  append({record, samples_ms, {}});
}

const JournalEntry* Journal::find(const std::string& trial_id) const {
  const auto known = ranks_.find(trial_id);
  if (known == ranks_.end()) return nullptr;
  const auto found = last_.find(known->second);
  return found == last_.end() ? nullptr : &found->second.entry;
}

std::vector<analysis::Record> Journal::records() const {
  std::vector<analysis::Record> records;
  for (const auto& [rank, last] : last_) records.push_back(last.entry.record);
  return records;
}

void Journal::keep(JournalEntry entry) {
  std::string csv_line = analysis::csv_line(analysis::to_row(entry.record));
  const std::size_t place = rank(entry.record.trial_id);
  last_.insert_or_assign(place, Last{std::move(entry), std::move(csv_line)});
}

std::size_t Journal::rank(const std::string& trial_id) {
  return ranks_.try_emplace(trial_id, ranks_.size()).first->second;
}

/// Appended to afterwards; of an attempt that another one replaced, no sample stays.
void Journal::write_samples() {
  std::string text = kSamplesHeader;
  for (const auto& [rank, last] : last_) text += samples_rows(last.entry);
  samples_.reset();
  process::write_file(samples_path_, text);
  samples_.emplace(samples_path_);
}

void Journal::write_csv() const {
  std::string text = analysis::csv_line(analysis::header_row());
  for (const auto& [rank, last] : last_) text += last.csv_line;
  process::write_file(csv_path_, text);
}

std::vector<analysis::Record> read_journal(const std::filesystem::path& path) {
  std::string text;
  try {
    text = process::read_file(path);
  } catch (const OutputError& error) {
    throw ConfigError(fmt::format("{} Name the results.jsonl of a run folder.", error.what()));
  }
  const JournalContents contents = parse_journal(text);
  for (const Damage& damage : contents.damage) {
    if (damage.torn) continue;
    throw ConfigError(fmt::format(
        "[journal] {}:{}: damaged: {}. `attnlab run --resume {}` repairs it: {}", path.string(),
        damage.line, damage.problem, path.parent_path().string(), damage.text.substr(0, 80)));
  }
  std::map<std::string, std::size_t> places;
  std::vector<analysis::Record> records;
  for (const JournalEntry& entry : contents.entries) {
    const auto [place, added] = places.try_emplace(entry.record.trial_id, records.size());
    if (added) {
      records.push_back(entry.record);
    } else {
      records[place->second] = entry.record;
    }
  }
  return records;
}

}  // namespace attnlab::runner
