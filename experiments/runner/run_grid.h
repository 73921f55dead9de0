// The loop over the trials of a run: progress, journal, logs, and an end by Ctrl-C at any moment.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
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

/// Runs the trials in order, `jobs` (at least 1) of them at once, and stores each row in `journal`
/// (that of `folder`) as soon as it is there. With several jobs `run_one` is called from several
/// threads. SIGINT and SIGTERM end the process with exit code 130; the finished rows are complete
/// then. Throws OutputError; trials that run then are waited for and have no row.
RunOutcome run_grid(const std::vector<Trial>& trials, const RunFolder& folder, Journal& journal,
                    const TrialFunction& run_one, int jobs = 1);

/// Throws ConfigError where `jobs` trials cannot run at once: one of them measures time, which
/// others beside it would falsify, or they share this process.
void check_jobs(const std::vector<Trial>& trials, const std::string& isolation, int jobs);

}  // namespace attnlab::runner
