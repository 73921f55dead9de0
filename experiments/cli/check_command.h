// `attnlab check VARIANT`: the conformance of one variant, a line per property.
#pragma once

#include "experiments/cli/arguments.h"

namespace attnlab::cli {

/// Returns the exit code: 0 all properties hold, 1 one is broken. Throws ConfigError for an unknown
/// variant or option, PluginError for a plugin.
int check_command(const Arguments& arguments);

}  // namespace attnlab::cli
