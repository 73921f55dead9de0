#include "experiments/runner/journal.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "analysis/csv.h"
#include "kernels/core/error.h"

namespace attnlab::runner {

Journal::Journal(const std::filesystem::path& folder)
    : csv_path_(folder / "results.csv"),
      lines_(folder / "results.jsonl"),
      samples_(folder / "samples.csv") {
  samples_.append("trial_id,sample,time_ms\n");
  write_csv();
}

void Journal::append(const analysis::Record& record, const std::vector<double>& samples_ms) {
  if (!samples_ms.empty()) {
    std::string rows;
    for (std::size_t i = 0; i < samples_ms.size(); ++i) {
      rows += analysis::csv_line(
          {record.trial_id, std::to_string(i), analysis::csv_number(samples_ms[i])});
    }
    samples_.append(rows);
  }
  lines_.append(analysis::to_json(record).dump() + "\n");
  records_.push_back(record);
  write_csv();
}

void Journal::write_csv() const {
  std::string text = analysis::csv_line(analysis::header_row());
  for (const analysis::Record& record : records_) {
    text += analysis::csv_line(analysis::to_row(record));
  }
  write_file(csv_path_, text);
}

std::vector<analysis::Record> read_journal(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) {
    throw ConfigError(fmt::format(
        "[journal] cannot read {}. Name the results.jsonl of a run folder.", path.string()));
  }
  std::vector<analysis::Record> records;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    // A line without its end was being written when the program died.
    if (file.eof()) break;
    const auto object = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!object.is_object()) {
      throw ConfigError(fmt::format("[journal] {}:{}: not a JSON object: {}", path.string(), number,
                                    line.substr(0, 80)));
    }
    records.push_back(analysis::from_json(object));
  }
  return records;
}

}  // namespace attnlab::runner
