// In which order the trials of a run are measured. Rows of results.csv keep the order of the list.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/runner/grid.h"

namespace attnlab::runner {

/// The trials in the order in which they run. "sequential": as listed. "shuffled": a permutation by
/// `seed`, the same everywhere. "interleaved": trials that differ in the variant and its options
/// alone run one after the other, in turns in the order of the list and against it, so that a
/// machine that gets slower or faster favours no variant; such groups stay in the order of their
/// first trials. Throws std::logic_error for another name.
std::vector<Trial> ordered(std::vector<Trial> trials, const std::string& order, std::uint64_t seed);

}  // namespace attnlab::runner
