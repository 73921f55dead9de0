// What a run that was interrupted, or whose trials failed, still has to do.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "analysis/record.h"
#include "experiments/runner/grid.h"
#include "experiments/runner/journal.h"
#include "variants/api/registry.h"

namespace attnlab::runner {

/// Which of the trials that have a row are run again.
enum class Retry {
  kNone,
  kFailed,   ///< failed, crashed, wrong
  kOom,      ///< oom
  kTimeout,  ///< timeout
  kAll,      ///< every status but ok, and every row of another build
};

/// "failed", "oom", "timeout", "all"; "" = kNone. Throws ConfigError for anything else.
Retry parse_retry(const std::string& name);

/// SHA-256 over the program, its library and the plugins as they lie on disk: equal texts mean that
/// the same code measures. Throws OutputError for a file that cannot be read.
std::string build_id(const std::vector<std::string>& plugins);

/// Of a trial: SHA-256 over canonical_trial, the version of the variant, and `build`.
std::string resume_key(const Trial& trial, const Registry& registry, const std::string& build);

/// Fills Trial::resume_key.
void set_resume_keys(std::vector<Trial>& trials, const Registry& registry,
                     const std::string& build);

/// Whether a trial is to be run: `last` is its last attempt (nullptr: none), `resume_key` the key
/// that it would get now.
bool is_due(const JournalEntry* last, const std::string& resume_key, Retry retry);

/// The trials to be run, in their order, and how many of the others were measured by another build.
struct ResumePlan {
  std::vector<Trial> due;
  std::size_t kept_of_another_build = 0;
};
ResumePlan plan_resume(const std::vector<Trial>& trials, const Journal& journal, Retry retry);

/// The command that takes up the run in `folder`, as it stands for a POSIX shell.
std::string resume_command(const std::filesystem::path& folder, Retry retry = Retry::kNone);

/// The narrowest retry that takes all rows that running again may better: kNone where all are ok,
/// unsupported or skipped.
Retry suggested_retry(const std::vector<analysis::Record>& records);

}  // namespace attnlab::runner
