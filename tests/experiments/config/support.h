// Helps of the config tests: a throw-away folder of configs, and messages of errors.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "experiments/config/compose.h"
#include "experiments/config/emit_yaml.h"
#include "experiments/config/load_yaml.h"
#include "kernels/core/error.h"

namespace attnlab::config {

/// A folder that exists as long as the object. `clean` takes its name out of a message.
class ConfigDir {
 public:
  ConfigDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "config_test_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~ConfigDir() { std::filesystem::remove_all(path_); }
  ConfigDir(const ConfigDir&) = delete;
  ConfigDir& operator=(const ConfigDir&) = delete;

  ConfigDir& write(const std::string& name, const std::string& text) {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return *this;
  }

  const std::filesystem::path& path() const { return path_; }

  std::string clean(std::string message) const {
    const std::string prefix = path_.string() + "/";
    for (std::size_t at; (at = message.find(prefix)) != std::string::npos;) {
      message.erase(at, prefix.size());
    }
    for (std::size_t at; (at = message.find(path_.string())) != std::string::npos;) {
      message.replace(at, path_.string().size(), "DIR");
    }
    return message;
  }

  ComposeRequest request(std::vector<std::string> overrides = {}) const {
    ComposeRequest result;
    result.config_dirs = {path_};
    result.overrides = std::move(overrides);
    return result;
  }

  std::vector<Job> jobs(std::vector<std::string> overrides = {}) const {
    return compose(request(std::move(overrides)));
  }

  /// The config of the only job, as YAML.
  std::string yaml(std::vector<std::string> overrides = {}) const {
    const std::vector<Job> all = jobs(std::move(overrides));
    return all.size() == 1 ? emit_yaml(all.front().config)
                           : std::to_string(all.size()) + " jobs instead of one";
  }

 private:
  std::filesystem::path path_;
};

/// The message of the ConfigError that `run` throws; "no error" if it throws none.
template <typename Run>
std::string message_of(const Run& run) {
  try {
    run();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

template <typename Run>
std::string message_of(const ConfigDir& dir, const Run& run) {
  return dir.clean(message_of(run));
}

inline std::string compose_error(const ConfigDir& dir, std::vector<std::string> overrides = {}) {
  return message_of(dir, [&] { dir.jobs(overrides); });
}

inline Tree yaml(const std::string& text) { return parse_yaml(text, "t.yaml"); }

}  // namespace attnlab::config
