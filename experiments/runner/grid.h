// From composed jobs to the trials of a run: what each runs, its name, its identity, and the
// command that reruns it alone.
#pragma once

#include <string>
#include <vector>

#include "experiments/config/compose.h"
#include "experiments/config/schema.h"
#include "variants/api/registry.h"

namespace attnlab::runner {

/// One grid point.
struct Trial {
  std::string trial_id;  ///< unique in a run: "003_sliding_window_n1024_forward"
  config::TrialConfig config;
  std::string config_yaml;      ///< the composed config that `config` was parsed from
  std::string options_json;     ///< every option of the variant with its value
  std::string config_hash;      ///< first 16 hexadecimal digits of SHA-256 over `canonical_trial`
  std::string repro;            ///< shell command that reruns exactly this row
  std::string resume_key = {};  ///< what the row depends on, code included; see resume.h
  std::string folder = {};      ///< where its files go, absolute; empty = it writes none
};

/// What a repro command must name besides the overrides. Paths are made absolute.
struct ReproContext {
  std::vector<std::string> plugins;  ///< those of --plugin
  std::string config_dir;            ///< --config-dir; empty = not given
  std::string config_name;           ///< --config-name; empty = not given
};

/// Parses and checks every job before any runs. Throws ConfigError (also for an unknown variant or
/// option) and DeviceError for a device that this build cannot drive.
std::vector<Trial> expand_grid(const std::vector<config::Job>& jobs, const Registry& registry,
                               const ReproContext& context);

/// Puts the shapes that a training will see into its config. For trials whose config was read
/// again. Throws ConfigError.
void settle(std::vector<Trial>& trials, const Registry& registry);

/// Loads the CUDA half where a trial asks for it. Throws DeviceError where there can be none.
void check_devices(const std::vector<Trial>& trials);

std::vector<std::string> trial_ids(const std::vector<Trial>& trials);

/// The resolved trial as one JSON object with sorted keys. Neither paths, times, the experiment's
/// name nor other values of a sweep enter, so equal trials of different runs have equal texts. Of a
/// search, lengths that it changes do not enter either.
std::string canonical_trial(const config::TrialConfig& config, const std::string& options_json);

/// Whether it is a search for the longest sequence instead of a trial that is measured.
bool is_search(const config::TrialConfig& config);

/// Whether something is learned instead of an operator measured.
bool is_training(const config::TrialConfig& config);

/// The first 16 hexadecimal digits of SHA-256 over canonical_trial.
std::string trial_hash(const config::TrialConfig& config, const std::string& options_json);

/// "sliding_window_n1024_forward", or "sliding_window_longest_forward" of a search.
std::string trial_name(const config::TrialConfig& config);

/// "003_sliding_window_n1024_forward": `number`, from 1, of `total`.
std::string make_trial_id(std::size_t number, std::size_t total, const config::TrialConfig& config);

/// "flash n=1024 forward", "flash longest forward"; "n=16x1024" where seqlen_q and seqlen_k differ.
/// For lines of progress.
std::string trial_label(const config::TrialConfig& config);

/// `word` as one word of a POSIX shell command, in single quotes where needed.
std::string shell_quote(const std::string& word);

}  // namespace attnlab::runner
