// The process of one trial, which `run` starts: not for users.
#pragma once

#include "experiments/cli/arguments.h"

namespace attnlab::cli {

/// Reads a task from stdin, measures it and writes the framed result to
/// process::kResultDescriptor. Ends when the process that started it ends. Returns the exit code.
int worker_command(const Arguments& arguments);

}  // namespace attnlab::cli
