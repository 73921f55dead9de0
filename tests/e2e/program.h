// Runs the program in a folder of its own and gives back what it said.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace attnlab::e2e {

struct Result {
  int exit_code = -1;  ///< 128 + signal where one ended it
  std::string out;
  std::string err;
};

/// A started program; stdout and stderr go to files.
class Process {
 public:
  /// Runs `words` in `folder`; `stdout_path` other than "" replaces the file for stdout.
  Process(const std::vector<std::string>& words, const std::filesystem::path& folder,
          const std::string& stdout_path = "");
  pid_t pid() const { return pid_; }
  void send(int signal) const;
  Result wait();

 private:
  std::filesystem::path out_;
  std::filesystem::path err_;
  pid_t pid_ = -1;
};

/// A folder that is removed at the end; each test has its own.
class Workplace {
 public:
  Workplace();
  ~Workplace();
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// `attnlab words...` from this folder.
  Result run(const std::vector<std::string>& words) const;
  /// A shell command line from this folder, with `attnlab` standing for the program.
  Result shell(const std::string& command) const;

 private:
  std::filesystem::path path_;
};

/// `run` with overrides that make a trial take milliseconds; a key in `more` replaces the preset.
std::vector<std::string> tiny(std::vector<std::string> more);

/// The path on the last line of stdout, "results: PATH", made absolute.
std::filesystem::path csv_path(const Result& result, const Workplace& workplace);

std::string read_text(const std::filesystem::path& path);

}  // namespace attnlab::e2e
