// What a finished trial says to people: on the line of progress and in its log.
#pragma once

#include <string>

#include "analysis/record.h"
#include "experiments/runner/grid.h"
#include "experiments/runner/trial.h"

namespace attnlab::runner {

/// "4.31 ms  2.1 MiB", or "oom: would need 34 GiB".
std::string outcome_text(const analysis::Record& record);

/// What trials/<trial_id>/log.txt holds.
std::string log_text(const Trial& trial, const TrialResult& result);

}  // namespace attnlab::runner
