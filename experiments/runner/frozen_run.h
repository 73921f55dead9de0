// The trials of a run as they were composed at its launch, kept in its folder: editing a config
// never changes a run that has begun, and resuming it needs nothing but the folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/config/schema.h"
#include "experiments/runner/grid.h"

namespace attnlab::runner {

/// What a run does, whatever becomes of the configs that it was composed from.
struct FrozenRun {
  std::string run_id;
  std::vector<std::string> plugins;    ///< absolute paths
  std::vector<std::string> overrides;  ///< the words of the command line, as given
  std::vector<Trial> trials;           ///< without resume_key, which belongs to a build
};

/// Writes jobs.jsonl: a line about the run, then one per trial, sealed as in journal_lines.h. It is
/// on disk when this returns. Throws OutputError.
void write_frozen_run(const std::filesystem::path& folder, const FrozenRun& run);

/// Throws ConfigError where `folder` is none, holds no jobs.jsonl, or that is damaged.
FrozenRun read_frozen_run(const std::filesystem::path& folder);

/// What the trials' configs say about the run as a whole. There is a trial.
config::RunConfig run_config(const FrozenRun& run);

/// Throws ConfigError that names the first difference unless both are the same trials.
void check_same_trials(const std::vector<Trial>& frozen, const std::vector<Trial>& composed);

}  // namespace attnlab::runner
