// The parts of `attnlab run` that speak to the user: what --dry-run prints, and what a run
// says at its end. The command's course itself is in main.cpp.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/cli/arguments.h"
#include "experiments/config/compose.h"
#include "experiments/measure/environment.h"
#include "experiments/runner/grid.h"
#include "experiments/runner/journal.h"
#include "experiments/runner/resume.h"
#include "experiments/runner/run_grid.h"
#include "variants/api/plugin_loader.h"

namespace attnlab::cli {

/// --dry-run: a line per trial on stdout, trial_id first; "N trials" on stderr.
int print_trials(const std::vector<runner::Trial>& trials);

/// What .hydra/config.yaml holds: the config of the first job, with the values of a sweep as a
/// `sweep:` map, so that it composes to the same grid.
std::string config_yaml(const std::vector<config::Job>& jobs);

/// What environment.json holds: machine, versions, and the plugins that were loaded.
std::string environment_text(const measure::Environment& environment,
                             const std::vector<std::string>& command_line,
                             const std::vector<LoadedPlugin>& plugins);

/// Whether the command line says what to run, so that --resume has something to compare with.
bool names_trials(const Arguments& arguments);

/// Throws ConfigError where `run_dir` (run.dir; empty = not given) is another folder than that of
/// --resume.
void check_same_folder(const std::string& run_dir, const std::string& resumed);

/// What a resumed run has already, on stderr; nothing for a new one.
void print_plan(const runner::ResumePlan& plan, std::size_t trials,
                const std::filesystem::path& folder);

/// The table and, on the last line, the path of results.csv on stdout; on stderr what did not pass
/// and the command that runs it again. Returns the exit code: 0 all trials ok, 3 some did not pass.
int report_outcome(const runner::RunOutcome& outcome, const std::filesystem::path& folder);

/// For a run that has nothing left to do. Returns 0.
int report_finished(const runner::Journal& journal, const std::filesystem::path& folder);

}  // namespace attnlab::cli
