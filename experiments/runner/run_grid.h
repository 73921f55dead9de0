// The loop over the trials of a run: progress, journal, logs, and an end by Ctrl-C at any moment.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "analysis/record.h"
#include "experiments/runner/grid.h"
#include "experiments/runner/journal.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/trial.h"

namespace attnlab::runner {

/// How one trial is run: `run_trial`, or a fake in tests.
using TrialFunction = std::function<TrialResult(const Trial&)>;

struct RunOutcome {
  std::vector<analysis::Record> records;  ///< one per trial of the journal, in order of the grid
  std::filesystem::path csv_path;
};

/// Runs the trials in order and stores each row in `journal` (that of `folder`) as soon as it is
/// there. SIGINT and SIGTERM end the process with exit code 130; the finished rows are complete
/// then. Throws OutputError.
RunOutcome run_grid(const std::vector<Trial>& trials, const RunFolder& folder, Journal& journal,
                    const TrialFunction& run_one);

}  // namespace attnlab::runner
