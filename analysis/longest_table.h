// The table at the end of a run of kind longest: how long a sequence each variant can take.
#pragma once

#include <span>
#include <string>

#include "analysis/record.h"

namespace attnlab::analysis {

/// One block for each group of searches that differ only in variant, options and direction; a row
/// per search: the longest sequence that fits ("none" with the status where none does), time and
/// peak memory at that length, and what did not fit: "memory at 6400", "time at 6400", or that the
/// search found no end. `records` are all rows of the run, probes included; of several for one
/// length the last counts. Empty where no row is the summary of a search.
std::string longest_table(std::span<const Record> records);

}  // namespace attnlab::analysis
