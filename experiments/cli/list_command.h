// `attnlab list`: the variants, experiments, tasks, devices and config groups there are.
#pragma once

#include "experiments/cli/arguments.h"

namespace attnlab::cli {

/// Returns the exit code 0. Throws ConfigError for something that cannot be listed, naming the
/// nearest.
int list_command(const Arguments& arguments);

}  // namespace attnlab::cli
