// Tasks by name as the command line knows them: those of the program, and presets of configs/task,
// which are a task with other values for some keys.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiments/tasks/registry.h"

namespace attnlab::cli {

struct NamedTask {
  const tasks::TaskEntry* entry = nullptr;
  tasks::KeyValues preset;  ///< empty for a task itself
};

/// Throws ConfigError for an unknown name, naming the nearest, and for a preset that its task
/// refuses.
NamedTask find_task(const std::string& name, const std::vector<std::filesystem::path>& config_dirs);

/// Every name that find_task takes.
std::vector<std::string> task_names(const std::vector<std::filesystem::path>& config_dirs);

/// A line per key: "  seqlen=64  tokens (int from 4 to 4096)"; with the defaults of the preset.
std::string task_keys_text(const NamedTask& task);

/// For `attnlab list tasks`.
std::string tasks_text(const std::vector<std::filesystem::path>& config_dirs);
nlohmann::ordered_json tasks_json(const std::vector<std::filesystem::path>& config_dirs);

}  // namespace attnlab::cli
