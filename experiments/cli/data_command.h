// `attnlab data`: samples of a task as JSON Lines, its vocabulary, and what shortcuts reach on it.
#pragma once

#include <string>

#include "experiments/cli/arguments.h"
#include "experiments/tasks/task.h"

namespace attnlab::cli {

/// Returns the exit code 0. Throws ConfigError for an unknown task or key (naming the nearest), a
/// value that is not possible, and more samples than there are; OutputError where the samples
/// cannot be written. A file is either written whole or left as it was.
int data_command(const Arguments& arguments);

/// {"inputs": [1, 2], "labels": [-100, 7]} and a line end.
std::string sample_line(const tasks::Sample& sample);

}  // namespace attnlab::cli
