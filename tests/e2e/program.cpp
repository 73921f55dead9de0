#include "tests/e2e/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace attnlab::e2e {
namespace fs = std::filesystem;

namespace {

int open_for_writing(const fs::path& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
}

}  // namespace

Process::Process(const std::vector<std::string>& words, const fs::path& folder,
                 const std::string& stdout_path)
    : out_(stdout_path.empty() ? folder / ".out" : fs::path(stdout_path)), err_(folder / ".err") {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ != 0) return;
  const bool ready = ::chdir(folder.c_str()) == 0 &&
                     ::dup2(open_for_writing(out_), STDOUT_FILENO) >= 0 &&
                     ::dup2(open_for_writing(err_), STDERR_FILENO) >= 0;
  if (ready) ::execv(argv[0], argv.data());
  ::_exit(127);
}

void Process::send(int signal) const { ::kill(pid_, signal); }

Result Process::wait() {
  int status = 0;
  EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
  Result result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (fs::is_regular_file(out_)) result.out = read_text(out_);
  result.err = read_text(err_);
  return result;
}

Workplace::Workplace() {
  std::string name = (fs::temp_directory_path() / "attnlab_e2e_XXXXXX").string();
  path_ = ::mkdtemp(name.data());
}

Workplace::~Workplace() { fs::remove_all(path_); }

Result Workplace::run(const std::vector<std::string>& words) const {
  std::vector<std::string> command = {ATTNLAB_PROGRAM};
  command.insert(command.end(), words.begin(), words.end());
  return Process(command, path_).wait();
}

Result Workplace::shell(const std::string& command) const {
  const std::string script = "attnlab() { " ATTNLAB_PROGRAM " \"$@\"; }\n" + command;
  return Process({"/bin/bash", "-c", script}, path_).wait();
}

std::vector<std::string> tiny(std::vector<std::string> more) {
  const auto key = [](const std::string& word) { return word.substr(0, word.find('=')); };
  std::vector<std::string> words = {"run"};
  for (const char* preset :
       {"shape.heads=2", "shape.head_dim=8", "shape.seqlen=16", "measure=quick",
        "measure.max_time_s=0.01", "measure.warmup_s=0", "threads=1"}) {
    const auto same_key = [&](const std::string& word) { return key(word) == key(preset); };
    if (std::ranges::none_of(more, same_key)) words.emplace_back(preset);
  }
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

fs::path csv_path(const Result& result, const Workplace& workplace) {
  const std::string marker = "results: ";
  const std::size_t start = result.out.rfind(marker);
  if (start == std::string::npos || result.out.back() != '\n') {
    ADD_FAILURE() << "no `results:` line at the end of\n" << result.out << result.err;
    return {};
  }
  const std::string line = result.out.substr(start + marker.size());
  EXPECT_EQ(line.find('\n'), line.size() - 1) << "not the last line: " << line;
  return workplace.path() / line.substr(0, line.size() - 1);
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << "cannot read " << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace attnlab::e2e
