// The folder of one run: where results, journal and logs lie, locked against a second runner.
//
//   results.csv  results.jsonl  samples.csv  jobs.jsonl  environment.json
//   .hydra/config.yaml  .hydra/overrides.yaml  trials/<trial_id>/log.txt
//   of trainings: curves.csv  evaluations.csv
//   trials/<trial_id>/{curve.csv,evaluations.csv,weights.pt}
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace attnlab::runner {

/// An flock(2) on the file .lock of a folder; the system drops it when the process ends, however.
class FolderLock {
 public:
  /// Throws ConfigError where another runner holds it, OutputError where there can be no lock.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_ = -1;
};

class RunFolder {
 public:
  /// Makes the folder and takes its lock. `dir` is run.dir; empty means a new folder
  /// `outputs/<experiment>/<date>_<time>` under the current directory (local time; a number is
  /// added where that name is taken), to which `outputs/latest` is then pointed. Throws ConfigError
  /// where a living runner uses the folder or it holds results already, OutputError where it cannot
  /// be written.
  RunFolder(const std::string& dir, const std::string& experiment);

  /// Takes the lock of a folder that holds the run `run_id`, to go on with it. Throws ConfigError
  /// where a living runner uses it, OutputError where it cannot be written.
  static RunFolder reopen(const std::filesystem::path& dir, const std::string& run_id);

  const std::filesystem::path& path() const { return path_; }

  /// Unique among runs on all machines: "20260101T120000Z-1f2e3d4c", UTC and random bits.
  const std::string& run_id() const { return run_id_; }

  /// Writes .hydra/config.yaml and .hydra/overrides.yaml, the latter a list of the words as given.
  void write_hydra(const std::string& config_yaml, const std::vector<std::string>& overrides) const;

  /// Writes environment.json, or where there is one (of an earlier part of the run)
  /// environment-2.json, ...
  void write_environment(const std::string& json) const;

  /// Writes trials/<trial_id>/log.txt.
  void write_log(const std::string& trial_id, const std::string& text) const;

 private:
  struct Reopened {};
  RunFolder(Reopened tag, const std::filesystem::path& dir, const std::string& run_id);

  std::filesystem::path path_;
  FolderLock lock_;
  std::string run_id_;
};

/// Seconds since the epoch as "2026-01-01T12:00:00Z".
std::string utc_time(std::int64_t seconds);

}  // namespace attnlab::runner
