// Runs a program as a child with limits on time, memory and output, and says how it ended. Whatever
// the child does, this process goes on.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace attnlab::process {

/// The descriptor on which the child finds a pipe for its result.
inline constexpr int kResultDescriptor = 3;

struct ChildRequest {
  std::vector<std::string> arguments;  ///< [0]: path of the program
  std::string input;                   ///< the child's standard input
  double time_limit_s = 0;             ///< wall clock; 0 = none
  double grace_s = 5;                  ///< between SIGTERM and SIGKILL
  /// 0 = none. Of the child and all that it starts, by a control group where the system lets us
  /// make one; besides, the resident memory of the child itself is looked at every 20 ms.
  std::int64_t memory_limit_bytes = 0;
  std::size_t output_limit_bytes = std::size_t{1} << 20;  ///< kept of stdout and stderr together
  /// Called with what the child writes to stdout and stderr, as it comes.
  std::function<void(std::string_view)> on_output = nullptr;
  std::size_t result_limit_bytes = std::size_t{64} << 20;  ///< taken from the result pipe
};

enum class ChildEnd : std::uint8_t { kExited, kSignalled, kTimedOut, kOutOfMemory };

struct ChildResult {
  ChildEnd end = ChildEnd::kExited;
  int exit_code = 0;   ///< kExited
  int signal = 0;      ///< the signal that ended it, where one did
  std::string output;  ///< stdout and stderr in order; the middle is cut out beyond the limit
  std::string result;  ///< what came through the result pipe
  std::int64_t peak_rss_bytes = 0;
  double duration_s = 0;
};

/// Starts the child in a process group of its own (Ctrl-C in the terminal does not reach it), waits
/// for its end, then kills what is left of the group. At a limit the group gets SIGTERM, after the
/// grace SIGKILL; beyond the memory limit SIGKILL at once. Throws std::system_error where no child
/// could be started.
ChildResult run_child(const ChildRequest& request);

/// Kills the groups of all children that `run_child` waits for in other threads, so that nothing
/// that they started lives on when this process ends. Their run_child returns as for any killed
/// child.
void kill_running_children();

/// For the child's start: it is killed when the thread that started it ends, however that ends.
/// Returns false where `parent`, the process that started it, has ended already.
bool die_with_parent(pid_t parent);

/// For the child's start: where the system runs out of memory, it takes this process before others.
void be_killed_first();

/// Writes all of `bytes`; false where the other side has gone or the descriptor is closed.
bool write_all(int descriptor, const std::string& bytes);

}  // namespace attnlab::process
