// The table at the end of a run: what each variant costs and loses as the sequence grows.
#pragma once

#include <span>
#include <string>

#include "analysis/record.h"

namespace attnlab::analysis {

/// One block for each group of trials that differ only in variant, options and length (so one per
/// direction, dtype, device, ...). In a block, one row per variant, one column per length, and
/// below each other: time (a status other than ok stands in its place), peak memory, approximation
/// error against exact full attention, rounding error against plain Torch, and a task's metric; a
/// part that no trial has is left out. "growth" is the fitted exponent of the length. Of several
/// records for one cell the last counts. Options that would make a name wider than 28 columns are
/// left out where the variant occurs with one set of options only. Up to 6 lengths of usual size
/// stay within 100 columns; more go into a further block. Empty for no records.
std::string summary_table(std::span<const Record> records);

/// "sliding_window window=256": the variant and its options as a user would write them.
std::string variant_label(const Record& record);

/// A label beside `all` others: without what it says about its model (model.depth=3) in common with
/// all of them, and without long options where the variant occurs once.
std::string short_label(const std::string& label, std::span<const std::string> all);

}  // namespace attnlab::analysis
