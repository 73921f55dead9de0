// How far one gets without solving a task: chance, the most frequent answer, and the task's known
// shortcuts, counted on generated data. Belongs beside every score.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/tasks/task.h"

namespace attnlab::tasks {

struct Level {
  std::string name;  ///< "chance", "most_frequent", or that of the shortcut
  std::string help;
  double accuracy = 0;  ///< of answers; of whole samples where the task asks for an exact match
};

/// What is fitted sees the first `samples` of the training part; everything is counted on the first
/// `samples` of `split` (fewer where a part has fewer). Throws ConfigError as Task::sample.
std::vector<Level> levels(const Task& task, Split split, std::uint64_t samples);

}  // namespace attnlab::tasks
