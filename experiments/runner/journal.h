// The rows of a run on disk. results.jsonl is the truth and only grows: whatever was stored is
// there after a crash, a kill or a power cut. results.csv and samples.csv are views of it.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analysis/record.h"
#include "experiments/process/files.h"
#include "experiments/runner/journal_lines.h"

namespace attnlab::runner {

/// Not for several threads at once.
class Journal {
 public:
  /// Opens the journal of `folder`, or begins one. What a crash or a damaged disk left of one is
  /// moved to results.jsonl.torn and said on `messages`, every whole line stays as it is, and both
  /// views are made anew. `order`: the trial ids in the order of the views; trials besides follow
  /// in the order of their first line. Throws OutputError.
  explicit Journal(const std::filesystem::path& folder, std::vector<std::string> order = {});
  Journal(const std::filesystem::path& folder, std::vector<std::string> order,
          std::ostream& messages);

  /// Stores one attempt at a trial: its line, on disk when this returns; then the views. `attempt`
  /// of the record is set: 1, or one more than that of the trial's last line. Throws OutputError;
  /// then nothing more can be appended.
  void append(JournalEntry entry);
  void append(const analysis::Record& record, const std::vector<double>& samples_ms);

  /// The last attempt at the trial; nullptr where it has none. Valid until the next append.
  const JournalEntry* find(const std::string& trial_id) const;

  /// The last attempt at each trial, in the order of the CSV.
  std::vector<analysis::Record> records() const;

  const std::filesystem::path& csv_path() const { return csv_path_; }

 private:
  void recover(std::ostream& messages);
  void keep(JournalEntry entry);
  std::size_t rank(const std::string& trial_id);
  void write_samples();
  void write_csv() const;

  struct Last {
    JournalEntry entry;
    std::string csv_line;
  };

  std::filesystem::path path_;
  std::filesystem::path csv_path_;
  std::filesystem::path samples_path_;
  std::map<std::string, std::size_t> ranks_;  ///< place of each known trial in the views
  std::map<std::size_t, Last> last_;          ///< the last attempts, by rank
  std::optional<process::AppendFile> lines_;
  std::optional<process::AppendFile> samples_;
};

/// The last attempts of a results.jsonl, one per trial, in the order of their first lines. Throws
/// ConfigError where the file cannot be read or a line of it is damaged; a torn end is no error.
std::vector<analysis::Record> read_journal(const std::filesystem::path& path);

}  // namespace attnlab::runner
