// Shell completion: the scripts that shells load, and the words that they ask for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/cli/arguments.h"

namespace attnlab::cli {

/// What a shell should offer. Where `paths` is not kNone the shell offers files or folders itself.
struct Completion {
  enum class Paths { kNone, kFiles, kFolders };
  std::vector<std::string> words;  ///< whole words; those that end in '=' want a value after them
  Paths paths = Paths::kNone;
};

/// How the last of `words` (those after the program's name; the last may be empty) can go on.
/// Nothing is offered where nothing fits; an unreadable
/// config gives no words rather than an error.
Completion complete(const std::vector<std::string>& words,
                    const std::vector<std::filesystem::path>& config_dirs);

/// The script for bash, zsh or fish that asks `program`. Throws ConfigError for another shell.
std::string completion_script(const std::string& shell, const std::string& program);

/// `attnlab completion SHELL`, and `attnlab complete WORDS...` with which the scripts ask: a word a
/// line, or ":files", ":folders".
int completion_command(const Arguments& arguments);
int complete_command(const Arguments& arguments);

}  // namespace attnlab::cli
