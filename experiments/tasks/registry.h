// The tasks there are, by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "experiments/tasks/keys.h"
#include "experiments/tasks/task.h"

namespace attnlab::tasks {

struct TaskEntry {
  std::string name;
  std::string summary;  ///< one line
  std::string source;   ///< the paper whose definition it follows
  std::vector<OptionSpec> specs;
  std::unique_ptr<Task> (*make)(const Keys& keys);
};

/// In the order in which they are listed.
const std::vector<TaskEntry>& builtin_tasks();

/// Throws ConfigError for an unknown name, naming the nearest.
const TaskEntry& task_entry(const std::string& name);

/// Throws ConfigError for an unknown name, and for keys and values that the task refuses.
std::unique_ptr<Task> make_task(const std::string& name, const KeyValues& given);

}  // namespace attnlab::tasks
