#include "experiments/tasks/registry.h"

#include <fmt/format.h>

#include "experiments/tasks/listops.h"
#include "experiments/tasks/mqar.h"
#include "kernels/core/error.h"

namespace attnlab::tasks {

const std::vector<TaskEntry>& builtin_tasks() {
  static const std::vector<TaskEntry> entries = {
      {"mqar", "recall the values of several keys seen before (multi-query associative recall)",
       "Arora et al. 2023, arXiv 2312.04927", mqar_specs(), make_mqar},
      {"listops", "the value of a nested expression of MIN, MAX, MED and SM",
       "Tay et al. 2020, arXiv 2011.04006", listops_specs(), make_listops},
  };
  return entries;
}

const TaskEntry& task_entry(const std::string& name) {
  std::vector<std::string> known;
  for (const TaskEntry& entry : builtin_tasks()) {
    if (entry.name == name) return entry;
    known.push_back(entry.name);
  }
  throw ConfigError(
      fmt::format("[task] there is no task '{}'.{} Known: {}. See attnlab list tasks.", name,
                  did_you_mean(name, known), join_names(known)));
}

std::unique_ptr<Task> make_task(const std::string& name, const KeyValues& given) {
  const TaskEntry& entry = task_entry(name);
  return entry.make(Keys(entry.name, entry.specs, given));
}

}  // namespace attnlab::tasks
