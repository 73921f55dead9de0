// Runs one trial and fills its row. The seam of the runner: a Trial goes in, a row and the samples
// come out, in this process (here) or in a worker (isolated_trial.h).
#pragma once

#include <string>
#include <vector>

#include "analysis/record.h"
#include "experiments/measure/environment.h"
#include "experiments/runner/grid.h"
#include "variants/api/problem.h"
#include "variants/api/registry.h"

namespace attnlab::runner {

struct TrialResult {
  analysis::Record record;
  std::vector<double> samples_ms;  ///< every timing sample, in the order of measuring
  std::string notes = {};          ///< "", or a JSON object for the journal: {"noise": {...}}
  std::string output = {};         ///< what the trial wrote to stdout and stderr, where isolated
};

/// What all trials of a run share in their rows.
struct RunIdentity {
  std::string run_id;
  measure::Environment environment;
};

/// The problem that a trial poses. Throws ConfigError for an unknown direction or dtype.
Problem make_problem(const config::TrialConfig& config);

/// The threads that a trial uses: `threads`, or for 0 every CPU that this process may run on.
int effective_threads(int threads);

/// Whether threads may be bound to CPUs, which lasts for the rest of the process.
enum class Pinning { kNo, kAsConfigured };

/// Measures in this process and thread. Whatever goes wrong with the trial is a row with a status
/// and a reason, never an exception. Of the row only what was measured, started_utc and duration_s
/// are filled.
TrialResult measure_here(const Trial& trial, const Registry& registry, Pinning pinning);

/// Fills the columns that say what the trial was and where it ran.
void describe(const Trial& trial, const RunIdentity& run, analysis::Record& record);

/// The two together; threads stay where the system puts them.
TrialResult run_trial(const Trial& trial, const Registry& registry, const RunIdentity& run);

}  // namespace attnlab::runner
