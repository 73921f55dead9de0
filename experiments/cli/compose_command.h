// `attnlab compose`: any config tree as Hydra composes it, without a schema.
#pragma once

#include "experiments/cli/arguments.h"

namespace attnlab::cli {

/// Prints the composed, resolved YAML, one document per job of a sweep; with --info the configs
/// that were merged; with --explain-key where one value was written. Returns the exit code. Throws
/// ConfigError.
int compose_command(const Arguments& arguments);

}  // namespace attnlab::cli
