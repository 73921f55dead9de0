// The tables of mistakes in tests/experiments/config/bad: config files, a command line, and the
// message to the letter. Used by the config tests in this process, and by tests/e2e with the
// program itself.
//
//   === what is wrong
//   --- config.yaml                   files of the case, below its own folder; the folder's name is
//   lr: [1, 2                         taken out of the message
//   --- bytes.yaml escaped            \n \t \r \0 \xNN in the text stand for those bytes
//   --- fifo.yaml fifo                also: folder; link TARGET
//   $ compose 'lr=1' --config-name x  words as in a shell, quotes protect
//   [config] config.yaml:1:5: ...     what the program writes to stderr
//
// ATTNLAB_UPDATE_GOLDEN=1 makes the test BadConfigs write the messages as they are now.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace attnlab::config {

struct BadFile {
  std::string header;  ///< as written behind "--- "
  std::string text;    ///< as written
};

struct BadConfig {
  std::string name;
  std::vector<BadFile> files;
  std::string command;  ///< as written behind "$ "
  std::string message;  ///< without the newline at its end
};

/// The files of the folder `bad`, in the order of their names.
std::vector<std::filesystem::path> bad_config_tables();

/// Throws std::runtime_error for a table that is not understood.
std::vector<BadConfig> read_bad_configs(const std::filesystem::path& table);

/// Writes a table anew, with the comment lines at its top.
void write_bad_configs(const std::filesystem::path& table, const std::vector<BadConfig>& cases);

/// Makes the files of one case below `folder`.
void make_files(const BadConfig& bad, const std::filesystem::path& folder);

/// "run a=1 'b c'" -> run, a=1, b c.
std::vector<std::string> words_of(const std::string& command);

/// `message` without the names of the case's folder and of the project's configs (CONFIGS), and
/// without line and column in the latter.
std::string without_folders(std::string message, const std::filesystem::path& folder,
                            const std::filesystem::path& project_configs);

}  // namespace attnlab::config
