#include "experiments/runner/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <random>
#include <system_error>

#include "experiments/process/files.h"
#include "kernels/core/error.h"

namespace attnlab::runner {
namespace fs = std::filesystem;
namespace {

const char* const kOutputs = "outputs";

/// `to_fields` is localtime_r or gmtime_r. (fmt's chrono differs between the fmt of the system and
/// the one that LibTorch brings.)
template <typename ToFields>
std::string format_time(ToFields to_fields, std::time_t seconds, const char* format) {
  std::tm fields{};
  to_fields(&seconds, &fields);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &fields)};
}

/// A folder that did not exist before, so that two runs of the same second never share one.
fs::path make_dated_folder(const std::string& experiment) {
  const fs::path parent = fs::path(kOutputs) / experiment;
  process::make_directories(parent);
  const std::string stamp = format_time(::localtime_r, std::time(nullptr), "%Y-%m-%d_%H-%M-%S");
  for (int attempt = 1;; ++attempt) {
    const fs::path path = parent / (attempt == 1 ? stamp : fmt::format("{}_{}", stamp, attempt));
    std::error_code error;
    if (fs::create_directory(path, error)) {
      process::sync_folder_of(path);
      return path;
    }
    if (error) {
      throw OutputError(
          fmt::format("[output] cannot create {}: {}. Choose another folder with "
                      "run.dir=DIR.",
                      path.string(), error.message()));
    }
  }
}

fs::path make_folder(const std::string& dir, const std::string& experiment) {
  if (dir.empty()) return make_dated_folder(experiment);
  process::make_directories(dir);
  return dir;
}

std::string make_run_id() {
  std::random_device random;
  return fmt::format("{}-{:08x}", format_time(::gmtime_r, std::time(nullptr), "%Y%m%dT%H%M%SZ"),
                     static_cast<std::uint32_t>(random()));
}

/// Points outputs/latest at `path`, by rename, so that the link exists at every moment.
void link_latest(const fs::path& path) {
  const fs::path link = fs::path(kOutputs) / "latest";
  const fs::path temporary = fs::path(kOutputs) / fmt::format(".latest.{}", ::getpid());
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_directory_symlink(fs::relative(path, kOutputs), temporary, error);
  if (!error) fs::rename(temporary, link, error);
  if (error) {
    throw OutputError(fmt::format("[output] cannot point {} at {}: {}.", link.string(),
                                  path.string(), error.message()));
  }
}

bool lies_under_outputs(const fs::path& path) {
  const fs::path relative =
      fs::weakly_canonical(path).lexically_relative(fs::weakly_canonical(fs::path(kOutputs)));
  return !relative.empty() && *relative.begin() != ".." && relative != ".";
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) {
  const fs::path lock = folder / ".lock";
  fd_ = process::uninterrupted(
      [&] { return ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644); });
  if (fd_ < 0) {
    throw OutputError(
        fmt::format("[output] cannot create {}: {}. Choose a folder that can be written "
                    "with run.dir=DIR.",
                    lock.string(), std::strerror(errno)));
  }
  if (process::uninterrupted([&] { return ::flock(fd_, LOCK_EX | LOCK_NB); }) == 0) return;
  const int error = errno;
  ::close(fd_);
  if (error != EWOULDBLOCK) {
    throw OutputError(
        fmt::format("[output] cannot lock {}: {}.", lock.string(), std::strerror(error)));
  }
  throw ConfigError(
      fmt::format("[run] the folder {} is in use by another runner. Wait for it to end, or choose "
                  "another folder with run.dir=DIR.",
                  folder.string()));
}

FolderLock::~FolderLock() { ::close(fd_); }

RunFolder::RunFolder(const std::string& dir, const std::string& experiment)
    : path_(make_folder(dir, experiment)), lock_(path_), run_id_(make_run_id()) {
  if (fs::exists(path_ / "results.jsonl")) {
    throw ConfigError(fmt::format(
        "[run] {0} holds the results of an earlier run, which are never overwritten. Go on with "
        "that run (run --resume {0}), choose another folder with run.dir=DIR, or remove this one.",
        path_.string()));
  }
  process::make_directories(path_ / "trials");
  if (lies_under_outputs(path_)) link_latest(path_);
}

RunFolder::RunFolder(Reopened, const fs::path& dir, const std::string& run_id)
    : path_(dir), lock_(path_), run_id_(run_id) {
  process::make_directories(path_ / "trials");
}

RunFolder RunFolder::reopen(const fs::path& dir, const std::string& run_id) {
  return {Reopened{}, dir, run_id};
}

void RunFolder::write_hydra(const std::string& config_yaml,
                            const std::vector<std::string>& overrides) const {
  process::make_directories(path_ / ".hydra");
  process::write_file(path_ / ".hydra" / "config.yaml", config_yaml);
  // A JSON string is a YAML string too.
  std::string lines = overrides.empty() ? "[]\n" : "";
  for (const std::string& word : overrides) lines += "- " + nlohmann::json(word).dump() + "\n";
  process::write_file(path_ / ".hydra" / "overrides.yaml", lines);
}

void RunFolder::write_environment(const std::string& json) const {
  fs::path path = path_ / "environment.json";
  for (int part = 2; fs::exists(path); ++part) {
    path = path_ / fmt::format("environment-{}.json", part);
  }
  process::write_file(path, json);
}

void RunFolder::write_log(const std::string& trial_id, const std::string& text) const {
  process::make_directories(path_ / "trials" / trial_id);
  process::write_file(path_ / "trials" / trial_id / "log.txt", text);
}

std::string utc_time(std::int64_t seconds) {
  return format_time(::gmtime_r, static_cast<std::time_t>(seconds), "%Y-%m-%dT%H:%M:%SZ");
}

}  // namespace attnlab::runner
