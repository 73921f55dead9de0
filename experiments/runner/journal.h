// The rows of a run on disk. results.jsonl is the truth and only grows; results.csv is a view of
// it; samples.csv holds every timing sample.
#pragma once

#include <filesystem>
#include <vector>

#include "analysis/record.h"
#include "experiments/runner/files.h"

namespace attnlab::runner {

class Journal {
 public:
  /// Opens the three files in `folder` and writes the headers. Throws OutputError.
  explicit Journal(const std::filesystem::path& folder);

  /// Stores one finished trial: its samples (ms, in the order of measuring), then its line in the
  /// journal, on disk when this returns; then results.csv is replaced. A line in the journal so
  /// implies that its samples are complete. Throws OutputError.
  void append(const analysis::Record& record, const std::vector<double>& samples_ms);

  const std::vector<analysis::Record>& records() const { return records_; }
  const std::filesystem::path& csv_path() const { return csv_path_; }

 private:
  void write_csv() const;

  std::filesystem::path csv_path_;
  AppendFile lines_;
  AppendFile samples_;
  std::vector<analysis::Record> records_;
};

/// The complete lines of a results.jsonl, in order. Throws ConfigError for a line that is no
/// record.
std::vector<analysis::Record> read_journal(const std::filesystem::path& path);

}  // namespace attnlab::runner
