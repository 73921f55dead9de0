#include "kernels/cpu/task_queue.h"

namespace attnlab::cpu {

std::int64_t TaskQueue::next() {
  const std::int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
  return task < num_tasks_ ? task : -1;
}

}  // namespace attnlab::cpu
