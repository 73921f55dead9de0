// What `attnlab run` says of a run of kind longest: --dry-run, and the end. The search itself is in
// runner/longest.h.
#pragma once

#include <filesystem>
#include <vector>

#include "analysis/record.h"
#include "experiments/runner/grid.h"
#include "experiments/runner/journal.h"
#include "experiments/runner/run_grid.h"

namespace attnlab::cli {

/// --dry-run: a line per search on stdout, its id first; "N searches" on stderr.
int print_searches(const std::vector<runner::Trial>& searches);

/// The table and, on the last line, the path of results.csv on stdout; on stderr the searches
/// without a length and the probes that broke. Probes that did not fit are what a search looks for.
/// Returns the exit code: 3 where a search has no length or a probe failed, crashed or was wrong.
int report_searches(const runner::RunOutcome& outcome, const std::filesystem::path& folder);

/// For a run that has nothing left to do. Returns 0.
int report_finished_searches(const runner::Journal& journal, std::size_t searches,
                             const std::filesystem::path& folder);

}  // namespace attnlab::cli
