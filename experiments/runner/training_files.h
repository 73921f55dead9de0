// What trainings write beside their rows: curves and evaluations, of all trials in one table each.
#pragma once

#include <vector>

#include "experiments/runner/grid.h"
#include "experiments/runner/run_folder.h"

namespace attnlab::runner {

/// Gives each training its folder trials/<trial_id>.
void set_folders(std::vector<Trial>& trials, const RunFolder& folder);

/// Writes curves.csv, evaluations.csv and (where some model was looked into) diagnostics.csv beside
/// results.csv: those of all trials so far, in the
/// order of their ids, with the id as the first column. Throws OutputError.
void write_training_tables(const RunFolder& folder);

}  // namespace attnlab::runner
