// Shell completion: what a line that is being typed can go on with, and the scripts that ask.
#pragma once

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
/// Nothing is offered where nothing fits; configs that cannot be read give no words rather than an
/// error.
Completion complete(const std::vector<std::string>& words);

/// A word a line, or ":files", ":folders".
std::string answer_text(const Completion& completion);

/// The script for bash, zsh or fish that asks `program`. Throws ConfigError for another shell.
std::string completion_script(const std::string& shell, const std::string& program);

/// `attnlab completion SHELL`. Throws ConfigError where the program that answers is missing.
int completion_command(const Arguments& arguments);

}  // namespace attnlab::cli
