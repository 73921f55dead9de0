#include "experiments/runner/training_files.h"

#include <algorithm>
#include <set>
#include <string>

#include "analysis/csv.h"
#include "experiments/process/files.h"
#include "experiments/training/train_trial.h"

namespace attnlab::runner {
namespace {

namespace fs = std::filesystem;

/// `name` of every trial's folder as one table.
std::string joined_table(const std::set<fs::path>& folders, const char* name,
                         const std::string& header) {
  std::string table = "trial_id," + header;
  for (const fs::path& folder : folders) {
    if (!fs::exists(folder / name)) continue;
    const std::string text = process::read_file(folder / name);
    std::string id = analysis::csv_line({folder.filename().string()});
    id.back() = ',';
    for (std::size_t begin = text.find('\n') + 1; begin < text.size();) {
      const std::size_t end = text.find('\n', begin) + 1;
      table += id + text.substr(begin, end - begin);
      begin = end;
    }
  }
  return table;
}

}  // namespace

void set_folders(std::vector<Trial>& trials, const RunFolder& folder) {
  for (Trial& trial : trials) {
    if (!is_training(trial.config)) continue;
    trial.folder = fs::absolute(folder.path() / "trials" / trial.trial_id).string();
  }
}

void write_training_tables(const RunFolder& folder) {
  std::set<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(folder.path() / "trials")) {
    folders.insert(entry.path());
  }
  process::write_file(folder.path() / "curves.csv",
                      joined_table(folders, "curve.csv", training::kCurveHeader));
  const bool looked_inside = std::ranges::any_of(
      folders, [](const fs::path& each) { return fs::exists(each / "diagnostics.csv"); });
  if (looked_inside) {
    process::write_file(folder.path() / "diagnostics.csv",
                        joined_table(folders, "diagnostics.csv", training::kDiagnosticsHeader));
  }
  process::write_file(folder.path() / "evaluations.csv",
                      joined_table(folders, "evaluations.csv", training::kEvaluationsHeader));
}

}  // namespace attnlab::runner
