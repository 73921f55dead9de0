// `kind: longest`: how long a sequence each variant and direction can take within limits.memory,
// limits.time_s and longest.time_ms. A search is a trial of the grid without its length; it runs
// probes, which are ordinary trials of one length, and ends with a summary row.
//
// A probe fits if its status is ok and the median of one run is at most longest.time_ms. The
// machine is safe by what guards every trial: the plan's bytes are compared with the memory limit
// before a tensor is made, and the process is bound in memory and time. Besides, a probe whose
// time, by the growth of shorter ones, would be far beyond a limit is not run but skipped.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "analysis/record.h"
#include "experiments/runner/grid.h"
#include "experiments/runner/journal.h"
#include "experiments/runner/resume.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/run_grid.h"

namespace attnlab::runner {

/// For a grid of kind longest: one search per grid point, those that differ only in the length
/// taken together, named "003_flash_longest_forward". Another grid comes back as it is. Throws
/// ConfigError where kinds are mixed, no length grows, or the longest lengths have no valid config.
std::vector<Trial> as_searches(std::vector<Trial> trials);

/// The ordinary trial of a search at `seqlen`: what it runs, and its hash and command, are those of
/// kind=measure. Of seqlen_q and seqlen_k those change that equal the search's shape.seqlen.
Trial probe_of(const Trial& search, std::int64_t seqlen);

/// Throws ConfigError where searches cannot be done like this: several at once, or in this process.
void check_search_run(const std::string& isolation, int jobs);

/// What searches need from outside.
struct SearchContext {
  TrialFunction run_one;
  std::function<std::string(const Trial&)> resume_key;            ///< see resume.h
  std::function<void(const Trial&, analysis::Record&)> describe;  ///< fills a row without a run
  Retry retry = Retry::kNone;                                     ///< of probes that have rows
};

/// The searches, in their order, that lack a probe or the summary, or have a probe to retry.
std::vector<Trial> due_searches(const std::vector<Trial>& searches, const Journal& journal,
                                const SearchContext& context);

/// Runs the searches one after the other. Probes that the journal has are taken from it. Stores
/// each row as soon as it is there: of a probe that does not fit by its time with that in the
/// reason, of a search with task "longest", metric "longest_seqlen", its status ok and the length
/// as metric_value, or without a value the status that hindered the shortest probe. SIGINT and
/// SIGTERM as in run_grid. Throws OutputError.
RunOutcome run_searches(const std::vector<Trial>& searches, const RunFolder& folder,
                        Journal& journal, const SearchContext& context);

}  // namespace attnlab::runner
