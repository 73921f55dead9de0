#include "experiments/cli/task_catalogue.h"

#include <fmt/format.h>

#include <algorithm>

#include "experiments/config/group_files.h"
#include "experiments/config/tree.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::cli {
namespace {

using Dirs = std::vector<std::filesystem::path>;
using Json = nlohmann::ordered_json;

const char* const kGroup = "task";

OptionValue value_of(const config::Tree& tree, const std::string& key) {
  switch (tree.kind()) {
    case config::Tree::Kind::kBool: return tree.as_bool();
    case config::Tree::Kind::kInt: return tree.as_int();
    case config::Tree::Kind::kFloat: return tree.as_float();
    case config::Tree::Kind::kString: return tree.as_string();
    default:
      throw ConfigError(
          fmt::format("[task] {}: '{}' is a {}; a key of a task is a bool, an int, a "
                      "float or a string",
                      tree.position().to_string(), key, tree.kind_name()));
  }
}

bool has_task_group(const Dirs& dirs) {
  return std::ranges::any_of(dirs, [](const std::filesystem::path& dir) {
    return std::filesystem::is_directory(dir / kGroup);
  });
}

/// The options of the group that are no tasks of the program themselves.
std::vector<config::GroupOption> presets(const Dirs& dirs) {
  if (!has_task_group(dirs)) return {};
  std::vector<config::GroupOption> options = config::group_options(dirs, kGroup);
  std::erase_if(options, [](const config::GroupOption& option) {
    return std::ranges::any_of(tasks::builtin_tasks(), [&](const tasks::TaskEntry& entry) {
      return entry.name == option.name;
    });
  });
  return options;
}

NamedTask read_preset(const std::string& name, const Dirs& dirs) {
  config::ConfigFiles files(dirs);
  const config::ConfigFile& file = files.load(std::string(kGroup) + "/" + name);
  const config::Tree* base = file.body.find("name");
  if (base == nullptr || !base->is_string()) {
    throw ConfigError(fmt::format(
        "[task] {} does not say which task it is; write `name: TASK` into it, one of: {}",
        file.name, join_names(task_names({}))));
  }
  NamedTask task{&tasks::task_entry(base->as_string()), {}};
  for (const auto& [key, value] : file.body.entries()) {
    if (key != "name") task.preset[key] = value_of(value, key);
  }
  const tasks::Keys checked(task.entry->name, task.entry->specs, task.preset);
  return task;
}

Json option_json(const OptionSpec& spec) {
  Json object = {{"name", spec.name}, {"type", tasks::type_name(spec.default_value)}};
  std::visit([&](const auto& value) { object["default"] = value; }, spec.default_value);
  object["help"] = spec.help;
  if (!spec.choices.empty()) object["choices"] = spec.choices;
  return object;
}

}  // namespace

std::vector<std::string> task_names(const Dirs& config_dirs) {
  std::vector<std::string> names;
  for (const tasks::TaskEntry& entry : tasks::builtin_tasks()) names.push_back(entry.name);
  for (const config::GroupOption& preset : presets(config_dirs)) names.push_back(preset.name);
  return names;
}

NamedTask find_task(const std::string& name, const Dirs& config_dirs) {
  for (const tasks::TaskEntry& entry : tasks::builtin_tasks()) {
    if (entry.name == name) return {&entry, {}};
  }
  const std::vector<std::string> known = task_names(config_dirs);
  if (std::ranges::find(known, name) != known.end()) return read_preset(name, config_dirs);
  throw ConfigError(
      fmt::format("[task] there is no task '{}'.{} Known: {}. See attnlab list tasks.", name,
                  did_you_mean(name, known), join_names(known)));
}

std::string task_keys_text(const NamedTask& task) {
  std::vector<std::string> defaults;
  std::size_t width = 0;
  for (const OptionSpec& spec : task.entry->specs) {
    const auto set = task.preset.find(spec.name);
    const OptionValue& value = set == task.preset.end() ? spec.default_value : set->second;
    defaults.push_back(spec.name + "=" + tasks::value_text(value));
    width = std::max(width, defaults.back().size());
  }
  std::string text;
  for (std::size_t i = 0; i < defaults.size(); ++i) {
    const OptionSpec& spec = task.entry->specs[i];
    text +=
        fmt::format("  {:{}}  {} ({})\n", defaults[i], width, spec.help, tasks::allowed_text(spec));
  }
  return text;
}

std::string tasks_text(const Dirs& config_dirs) {
  std::string text;
  for (const tasks::TaskEntry& entry : tasks::builtin_tasks()) {
    text += fmt::format("{:<18} {}\n", entry.name, entry.summary);
  }
  for (const config::GroupOption& preset : presets(config_dirs)) {
    text += fmt::format("{:<18} {}\n", preset.name, preset.description);
  }
  return text;
}

Json tasks_json(const Dirs& config_dirs) {
  Json list = Json::array();
  for (const tasks::TaskEntry& entry : tasks::builtin_tasks()) {
    Json keys = Json::array();
    for (const OptionSpec& spec : entry.specs) keys.push_back(option_json(spec));
    list.push_back({{"name", entry.name},
                    {"summary", entry.summary},
                    {"source", entry.source},
                    {"keys", keys}});
  }
  for (const config::GroupOption& preset : presets(config_dirs)) {
    const NamedTask task = find_task(preset.name, config_dirs);
    Json values = Json::object();
    for (const auto& [key, value] : task.preset) {
      std::visit([&, &name = key](const auto& each) { values[name] = each; }, value);
    }
    list.push_back({{"name", preset.name},
                    {"summary", preset.description},
                    {"task", task.entry->name},
                    {"values", values}});
  }
  return list;
}

}  // namespace attnlab::cli
