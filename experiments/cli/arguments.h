// The command line, parsed: which command, its flags, and the override words as they stand.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace attnlab::cli {

enum class Command { kText, kRun, kCompose, kList, kCheck, kData, kCompletion, kWorker };

struct Arguments {
  Command command = Command::kText;
  std::string text;                  ///< kText: what --help or --version prints
  std::vector<std::string> words;    ///< run, compose, check, data: overrides or options, untouched
  std::vector<std::string> plugins;  ///< paths given by --plugin
  std::string config_dir;    ///< searched before the project's own configs; empty = not given
  std::string config_name;   ///< empty = not given
  std::string resume;        ///< run: folder of the run to go on with; empty = a new run
  std::string retry;         ///< run: which rows are run again; empty = none
  int jobs = 1;              ///< run: trials at once
  std::size_t max_jobs = 0;  ///< run, compose: of one sweep; 0 = not given
  bool dry_run = false;
  bool print_config = false;  ///< --cfg
  bool multirun = false;      ///< -m: compose sweeps hydra.sweeper.params as well
  bool json = false;
  std::string info;            ///< run, compose: defaults, defaults-tree, config; empty = not given
  std::string explain_key;     ///< run, compose: a key; empty = not given
  std::string package;         ///< run, compose: prints this part of the config; empty = not given
  std::string list_what;       ///< variants, experiments, devices, a group, or "" = overview
  std::string variant;         ///< check
  std::string device = "cpu";  ///< check: cpu, cuda
  std::string task;            ///< data: its name; empty = not given
  std::int64_t samples = 10;   ///< data
  std::string out;             ///< data: a file; empty = stdout
  std::string split = "train";  ///< data: train, validation, test
  bool vocab = false;           ///< data: print the tokens instead
  bool levels = false;          ///< data: print what chance and shortcuts reach instead
  bool help = false;            ///< data: `text` has the help of the command
  std::string shell;            ///< completion: bash, zsh, fish
  std::string parent;           ///< worker: the process that started it

  /// run: a view of the config instead of the run.
  bool asks_for_config() const {
    return print_config || !info.empty() || !explain_key.empty() || !package.empty();
  }
};

/// Throws ConfigError for an unknown command or flag (naming the nearest) and for flags without
/// their value. Words that begin with `~`, `+` or a single `-` are taken as overrides.
Arguments parse_arguments(int argc, const char* const* argv);

struct FlagSpec {
  std::string name;  ///< "--info"
  /// Of its value: "" = takes none; "a|b" = one of these; DIR, F, KEY, NAME, N as in the help.
  std::string value;
};

/// The commands that users call, and the flags of one of them ({} for an unknown one).
std::vector<std::string> command_names();
std::vector<FlagSpec> flags_of_command(const std::string& command);

}  // namespace attnlab::cli
