#include "experiments/process/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "experiments/process/capped_output.h"
#include "experiments/process/memory_group.h"

namespace attnlab::process {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kMemoryPeriod(20);

constexpr std::size_t kChunk = std::size_t{1} << 16;

[[noreturn]] void fail(const char* what, int error = errno) {
  throw std::system_error(error, std::generic_category(), std::string("[process] ") + what);
}

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Descriptor read_end, write_end;

  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("cannot make a pipe");
    read_end = Descriptor(ends[0]);
    write_end = Descriptor(ends[1]);
    ::fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
  }
};

/// The input lies in memory, so that nobody has to write while the child reads.
Descriptor input_file(const std::string& input) {
  Descriptor file(::memfd_create("attnlab-input", MFD_CLOEXEC));
  if (file.get() < 0) fail("cannot make the input of a child");
  if (!write_all(file.get(), input)) fail("cannot write the input of a child");
  if (::lseek(file.get(), 0, SEEK_SET) != 0) fail("cannot rewind the input of a child");
  return file;
}

/// The lists that posix_spawn takes, with their ends.
struct SpawnPlan {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};

  SpawnPlan(int input, int output, int result) {
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, result, kResultDescriptor);
    posix_spawnattr_init(&attributes);
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    for (const int signal : {SIGINT, SIGTERM, SIGPIPE}) sigaddset(&defaults, signal);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
};

std::int64_t resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::int64_t size = 0, resident = 0;
  file >> size >> resident;
  return file ? resident * ::sysconf(_SC_PAGESIZE) : 0;
}

/// Groups of children that have not been collected, whose numbers are so not given to others.
class RunningGroups {
 public:
  /// Starts a child and keeps it, with no moment between at which it is missing.
  template <class Start>
  void start(const Start& start) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const pid_t pid = start();
    if (pid > 0) groups_.insert(pid);
  }
  void forget(pid_t pid) {
    const std::lock_guard<std::mutex> lock(mutex_);
    groups_.erase(pid);
  }
  void kill() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const pid_t pid : groups_) ::kill(-pid, SIGKILL);
  }

 private:
  std::mutex mutex_;
  std::set<pid_t> groups_;
};

RunningGroups& running_groups() {
  static RunningGroups groups;
  return groups;
}

class RunningChild {
 public:
  explicit RunningChild(const ChildRequest& request)
      : request_(request),
        output_(request.output_limit_bytes),
        started_(Clock::now()),
        memory_group_(request.memory_limit_bytes > 0
                          ? MemoryGroup::create(request.memory_limit_bytes)
                          : std::nullopt) {
    const Descriptor input = input_file(request.input);
    // The numbers of our own ends must not be among those that the child's ends are moved to.
    Pipe output, result;
    if (result.write_end.get() <= kResultDescriptor || output.write_end.get() <= kResultDescriptor)
      fail("standard descriptors are closed in this process", EBADF);
    std::vector<char*> arguments;
    for (const std::string& word : request.arguments) {
      arguments.push_back(const_cast<char*>(word.c_str()));
    }
    arguments.push_back(nullptr);
    const SpawnPlan plan(input.get(), output.write_end.get(), result.write_end.get());
    int error = 0;
    running_groups().start([&] {
      error = ::posix_spawn(&pid_, arguments[0], &plan.actions, &plan.attributes, arguments.data(),
                            environ);
      return error == 0 ? pid_ : -1;
    });
    if (error != 0) fail("cannot start a child", error);
    output_pipe_ = std::move(output.read_end);
    result_pipe_ = std::move(result.read_end);
    exit_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (exit_.get() < 0) {
      ::kill(-pid_, SIGKILL);
      running_groups().forget(pid_);
      fail("cannot watch a child");
    }
    // It cannot be moved where it is gone already, and then needs no limit.
    if (memory_group_) memory_group_->add(pid_);
    if (request.time_limit_s > 0) deadline_ = after(started_, request.time_limit_s);
  }

  ChildResult wait() {
    while (!has_exited()) {
      drain(output_pipe_, [&](const char* bytes, std::size_t size) { take_output(bytes, size); });
      drain(result_pipe_, [&](const char* bytes, std::size_t size) { take_result(bytes, size); });
      if (request_.memory_limit_bytes > 0 && end_ == ChildEnd::kExited &&
          resident_bytes(pid_) > request_.memory_limit_bytes) {
        end_ = ChildEnd::kOutOfMemory;
        ::kill(-pid_, SIGKILL);
      }
      if (Clock::now() >= deadline_) interrupt();
    }
    ::kill(-pid_, SIGKILL);
    drain(output_pipe_, [&](const char* bytes, std::size_t size) { take_output(bytes, size); });
    drain(result_pipe_, [&](const char* bytes, std::size_t size) { take_result(bytes, size); });
    return collect();
  }

 private:
  static Clock::time_point after(Clock::time_point start, double seconds) {
    // A limit of years must not overflow the clock.
    const double longest = 1e9;
    return start + std::chrono::duration_cast<Clock::duration>(
                       std::chrono::duration<double>(std::min(seconds, longest)));
  }

  void take_output(const char* bytes, std::size_t size) {
    output_.append(bytes, size);
    if (request_.on_output) request_.on_output({bytes, size});
  }

  /// Waits for something to happen, at most until the next look at memory or the deadline.
  bool has_exited() {
    std::array<pollfd, 3> events{{{exit_.get(), POLLIN, 0},
                                  {output_pipe_.get(), POLLIN, 0},
                                  {result_pipe_.get(), POLLIN, 0}}};
    std::chrono::milliseconds patience = std::chrono::hours(1);
    if (deadline_ != Clock::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
      patience = std::clamp(left, std::chrono::milliseconds(0), patience);
    }
    if (request_.memory_limit_bytes > 0) patience = std::min(patience, kMemoryPeriod);
    if (::poll(events.data(), events.size(), static_cast<int>(patience.count())) < 0) {
      if (errno != EINTR) fail("cannot wait for a child");
      return false;
    }
    return (events[0].revents & POLLIN) != 0;
  }

  template <class Take>
  static void drain(Descriptor& pipe, const Take& take) {
    std::array<char, kChunk> buffer;
    while (pipe.get() >= 0) {
      const ssize_t size = ::read(pipe.get(), buffer.data(), buffer.size());
      if (size > 0) {
        take(buffer.data(), static_cast<std::size_t>(size));
      } else if (size < 0 && errno == EINTR) {
        continue;
      } else {
        // At its end the pipe would wake poll for ever.
        if (size == 0 || errno != EAGAIN) pipe.close();
        return;
      }
    }
  }

  void take_result(const char* bytes, std::size_t size) {
    const std::size_t room = request_.result_limit_bytes - result_.size();
    result_.append(bytes, std::min(size, room));
  }

  void interrupt() {
    const bool first = end_ == ChildEnd::kExited;
    if (first) end_ = ChildEnd::kTimedOut;
    ::kill(-pid_, first ? SIGTERM : SIGKILL);
    deadline_ = first ? after(Clock::now(), request_.grace_s) : Clock::time_point::max();
  }

  ChildResult collect() {
    running_groups().forget(pid_);
    int status = 0;
    rusage usage{};
    while (::wait4(pid_, &status, 0, &usage) < 0) {
      if (errno != EINTR) fail("cannot collect a child");
    }
    ChildResult result;
    result.end = end_;
    if (WIFSIGNALED(status)) {
      result.signal = WTERMSIG(status);
      if (end_ == ChildEnd::kExited) {
        const bool limit_reached = memory_group_ && memory_group_->oom_kills() > 0;
        result.end = limit_reached && result.signal == SIGKILL ? ChildEnd::kOutOfMemory
                                                               : ChildEnd::kSignalled;
      }
    } else {
      result.exit_code = WEXITSTATUS(status);
    }
    result.output = output_.text();
    result.result = std::move(result_);
    result.peak_rss_bytes = std::int64_t{usage.ru_maxrss} * 1024;
    result.duration_s = std::chrono::duration<double>(Clock::now() - started_).count();
    return result;
  }

  const ChildRequest& request_;
  CappedOutput output_;
  std::string result_;
  Clock::time_point started_;
  std::optional<MemoryGroup> memory_group_;
  Clock::time_point deadline_ = Clock::time_point::max();
  pid_t pid_ = -1;
  Descriptor output_pipe_, result_pipe_, exit_;
  ChildEnd end_ = ChildEnd::kExited;  ///< why it was killed, if it was
};

}  // namespace

ChildResult run_child(const ChildRequest& request) { return RunningChild(request).wait(); }

void kill_running_children() { running_groups().kill(); }

bool die_with_parent(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have ended before that call.
  return ::getppid() == parent;
}

void be_killed_first() {
  // Raising one's own score needs no rights; where there is no such file there is nothing to raise.
  std::ofstream("/proc/self/oom_score_adj") << 500;
}

bool write_all(int descriptor, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    done += static_cast<std::size_t>(written);
  }
  return true;
}

}  // namespace attnlab::process
