#include "experiments/process/memory_group.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "experiments/process/child_process.h"

namespace attnlab::process {
namespace {

constexpr std::string_view kPrefix = "attnlab-";

/// The kernel takes a value in one write; an existing file only, so that nothing is made up in a
/// folder that is no control group.
bool write_value(const std::filesystem::path& path, const std::string& value) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool written = write_all(file, value);
  ::close(file);
  return written;
}

/// The number after `name` in a file of lines "name value"; 0 where there is none.
std::int64_t read_counter(const std::filesystem::path& path, const std::string& name) {
  std::ifstream file(path);
  std::string key;
  std::int64_t value = 0;
  while (file >> key >> value) {
    if (key == name) return value;
  }
  return 0;
}

bool has_word(const std::filesystem::path& path, const std::string& wanted) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    if (word == wanted) return true;
  }
  return false;
}

struct Candidate {
  std::filesystem::path folder;
  int version;
};

bool lists_memory(std::string_view controllers) {
  while (!controllers.empty()) {
    const std::size_t comma = controllers.find(',');
    if (controllers.substr(0, comma) == "memory") return true;
    if (comma == std::string_view::npos) break;
    controllers.remove_prefix(comma + 1);
  }
  return false;
}

/// Where a group could be made: in the group of this process, then beside it. In version 2 a group
/// with processes cannot have limited children, so that it is mostly the second.
std::vector<Candidate> candidates(const std::filesystem::path& proc,
                                  const std::filesystem::path& mounts) {
  std::vector<Candidate> found;
  std::ifstream groups(proc / "cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::filesystem::path own =
        std::filesystem::path(line.substr(second + 1)).relative_path();
    std::filesystem::path mount = mounts;
    int version = 2;
    if (lists_memory(controllers)) {
      mount /= "memory";
      version = 1;
    } else if (!controllers.empty()) {
      continue;
    }
    found.push_back({mount / own, version});
    if (!own.empty()) found.push_back({(mount / own).parent_path(), version});
  }
  return found;
}

/// Groups "attnlab-<process>-<number>" of processes that are no more. Those with processes of their
/// own cannot be removed and stay.
void remove_abandoned(const std::filesystem::path& folder) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    pid_t owner = 0;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), owner);
    if (owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH) ::rmdir(entry.path().c_str());
  }
}

bool set_limit(const Candidate& group, const std::string& limit) {
  if (group.version == 1) {
    if (!write_value(group.folder / "memory.limit_in_bytes", limit)) return false;
    write_value(group.folder / "memory.memsw.limit_in_bytes",
                limit);  // kernels without swap lack it
    return true;
  }
  if (!write_value(group.folder / "memory.max", limit)) return false;
  write_value(group.folder / "memory.swap.max", "0");
  write_value(group.folder / "memory.oom.group", "1");
  return true;
}

}  // namespace

std::optional<MemoryGroup> MemoryGroup::create(std::int64_t limit_bytes,
                                               const std::filesystem::path& proc,
                                               const std::filesystem::path& mounts) {
  static std::atomic<int> next = 0;
  const std::string name =
      std::string(kPrefix) + std::to_string(::getpid()) + "-" + std::to_string(next++);
  for (const auto& [parent, version] : candidates(proc, mounts)) {
    if (version == 2 && !has_word(parent / "cgroup.subtree_control", "memory") &&
        !write_value(parent / "cgroup.subtree_control", "+memory")) {
      continue;
    }
    remove_abandoned(parent);
    std::error_code error;
    if (!std::filesystem::create_directory(parent / name, error)) continue;
    if (set_limit({parent / name, version}, std::to_string(limit_bytes))) {
      return MemoryGroup(parent / name, version);
    }
    ::rmdir((parent / name).c_str());
  }
  return std::nullopt;
}

MemoryGroup::MemoryGroup(MemoryGroup&& other) noexcept
    : path_(std::exchange(other.path_, {})), version_(other.version_) {}

MemoryGroup::~MemoryGroup() {
  if (path_.empty()) return;
  // Killed processes leave the group a little later.
  for (int attempt = 0; attempt < 200; ++attempt) {
    if (::rmdir(path_.c_str()) == 0 || errno != EBUSY) return;
    kill();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

bool MemoryGroup::add(pid_t pid) const {
  return write_value(path_ / "cgroup.procs", std::to_string(pid));
}

std::int64_t MemoryGroup::oom_kills() const {
  return read_counter(path_ / (version_ == 1 ? "memory.oom_control" : "memory.events"), "oom_kill");
}

void MemoryGroup::kill() const {
  std::ifstream processes(path_ / "cgroup.procs");
  for (pid_t pid = 0; processes >> pid;) {
    if (pid > 0) ::kill(pid, SIGKILL);
  }
}

}  // namespace attnlab::process
