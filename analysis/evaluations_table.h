// What was learned, beside what is reached without learning it: the tests of a run's trainings.
#pragma once

#include <span>
#include <string>

#include "analysis/csv.h"
#include "analysis/record.h"

namespace attnlab::analysis {

/// `evaluations` is an evaluations.csv (trial_id, test, answered_by, slice, metric, value, ...).
/// One block for each task and training length: a column per test, a row per training, and in
/// brackets the levels of the first training that has them: chance, shortcuts, n-grams; those of a
/// window beside its row. Empty where no record was trained. Throws ConfigError for missing columns
/// and cells that are no numbers.
std::string evaluations_table(std::span<const Record> records, const Table& evaluations);

}  // namespace attnlab::analysis
