// Whole compositions. The input is a text of files, "%% config" before each, and of overrides, a
// line each after "%% overrides". The overrides that a job names give exactly that job.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "experiments/config/compose.h"
#include "experiments/config/emit_yaml.h"
#include "kernels/core/error.h"
#include "tests/fuzz/property.h"

using namespace attnlab;
namespace fs = std::filesystem;

namespace {

/// One folder for all inputs, in memory where there is such a file system.
class ConfigFolder {
 public:
  ConfigFolder() {
    std::error_code ignored;
    const fs::path base =
        fs::is_directory("/dev/shm", ignored) ? "/dev/shm" : fs::temp_directory_path();
    std::string pattern = (base / "attnlab_fuzz_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~ConfigFolder() { fs::remove_all(path_); }

  void clear() const {
    for (const auto& entry : fs::directory_iterator(path_)) fs::remove_all(entry.path());
  }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// The files that an input may have; another name is taken for the first.
std::string file_of(const std::string& name) {
  for (const char* known : {"config", "db/a", "db/b", "db/x/c", "srv/a"}) {
    if (name == known) return std::string(known) + ".yaml";
  }
  return "config.yaml";
}

config::ComposeRequest request_of(const std::string& text, const ConfigFolder& folder) {
  config::ComposeRequest request;
  request.config_dirs = {folder.path()};
  request.max_jobs = 20;
  folder.clear();
  folder.write("db/b.yaml", "b: 2\n");
  std::istringstream lines(text);
  std::string name = "config", body;
  const auto finish = [&] {
    if (name != "overrides") folder.write(file_of(name), body);
    body.clear();
  };
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("%% ")) {
      finish();
      name = line.substr(3);
    } else if (name == "overrides") {
      if (request.overrides.size() < 8) request.overrides.push_back(line);
    } else {
      body += line + "\n";
    }
  }
  finish();
  return request;
}

bool is_repeatable(const std::string& text) {
  for (const char* word : {"now", "shuffle"}) {
    if (text.find(word) != std::string::npos) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const ConfigFolder folder;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const config::ComposeRequest request = request_of(text, folder);
  std::vector<config::Job> jobs;
  try {
    jobs = config::compose(request);
  } catch (const ConfigError&) {
    return 0;
  }
  if (!is_repeatable(text)) return 0;
  for (const config::Job& job : jobs) {
    config::ComposeRequest alone = request;
    alone.overrides = job.overrides;
    try {
      const std::vector<config::Job> again = config::compose(alone);
      fuzz::require(again.size() == 1 && again.front().config == job.config,
                    "the overrides of a job give that job", config::emit_yaml(job.config));
    } catch (const ConfigError& error) {
      fuzz::require(false, "the overrides of a job compose", error.what());
    }
  }
  return 0;
}
