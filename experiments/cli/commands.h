// The commands of the program with their flags and help, as CLI11 takes them.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "experiments/cli/arguments.h"

namespace attnlab::cli {

/// Parsing fills `arguments`, which outlives the result.
std::unique_ptr<CLI::App> make_app(Arguments& arguments);

std::vector<std::string> command_names(const CLI::App& app);

std::vector<FlagSpec> flag_specs(const CLI::App& command);

}  // namespace attnlab::cli
