// Work shared by workers: an atomic counter over task numbers.
#pragma once

#include <atomic>
#include <cstdint>

namespace attnlab::cpu {

class TaskQueue {
 public:
  explicit TaskQueue(std::int64_t num_tasks) : num_tasks_(num_tasks) {}

  /// The next task, or -1 when none is left. Defined out of line, in a file compiled for every
  /// machine: the callers are compiled for particular instruction sets.
  std::int64_t next();

 private:
  std::atomic<std::int64_t> next_{0};
  std::int64_t num_tasks_;
};

}  // namespace attnlab::cpu
