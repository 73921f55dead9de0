#include "experiments/cli/completion.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>

#include "experiments/cli/context.h"
#include "experiments/cli/output.h"
#include "experiments/config/group_files.h"
#include "experiments/config/schema.h"
#include "kernels/core/error.h"

namespace attnlab::cli {
namespace {

using Words = std::vector<std::string>;
using Paths = Completion::Paths;

/// What follows a flag that takes a value; found = false where the flag takes none.
struct FlagValue {
  bool found = false;
  Completion completion;
};

const Words& shells() {
  static const Words names = {"bash", "zsh", "fish"};
  return names;
}

Words config_keys() {
  Words keys;
  for (const config::KeySpec& spec : config::key_specs()) keys.push_back(spec.path);
  return keys;
}

FlagValue value_of_flag(std::string_view flag) {
  if (flag == "--cfg") return {true, {{"job"}}};
  if (flag == "--info") return {true, {{"defaults", "defaults-tree", "config"}}};
  if (flag == "--retry") return {true, {{"failed", "oom", "timeout", "all"}}};
  if (flag == "--device") return {true, {{"cpu", "cuda"}}};
  if (flag == "--explain-key") return {true, {config_keys()}};
  if (flag == "--resume" || flag == "--config-dir") return {true, {{}, Paths::kFolders}};
  if (flag == "--plugin") return {true, {{}, Paths::kFiles}};
  if (flag == "--jobs" || flag == "--config-name") return {true, {}};
  return {};
}

Words option_names(const std::vector<std::filesystem::path>& dirs, const std::string& group) {
  Words names;
  for (const config::GroupOption& option : config::group_options(dirs, group)) {
    names.push_back(option.name);
  }
  return names;
}

bool is_group(const std::vector<std::filesystem::path>& dirs, const std::string& name) {
  const Words groups = group_names(dirs);
  return std::ranges::find(groups, name) != groups.end();
}

Words values_of_key(const std::string& key, const std::vector<std::filesystem::path>& dirs) {
  if (is_group(dirs, key)) return option_names(dirs, key);
  for (const config::KeySpec& spec : config::key_specs()) {
    if (spec.path != key) continue;
    if (spec.type == config::KeyType::kBool) return {"true", "false"};
    return spec.choices;
  }
  return {};
}

/// An override: a group or a key, or after its '=' the values, of which a comma begins the next.
Words override_candidates(const std::string& word, const std::vector<std::filesystem::path>& dirs) {
  Words candidates;
  const std::size_t sign = std::min(word.find_first_not_of("+~"), word.size());
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos) {
    std::set<std::string> keys;
    for (const std::string& group : group_names(dirs)) keys.insert(group);
    for (const std::string& key : config_keys()) {
      if (!key.ends_with(".name")) keys.insert(key);
    }
    const std::string sign_text = word.substr(0, sign);
    const char* const end = sign_text == "~" ? "" : "=";  // a removal takes no value
    for (const std::string& key : keys) candidates.push_back(sign_text + key + end);
    return candidates;
  }
  const std::size_t comma = word.rfind(',');
  const std::string kept =
      word.substr(0, comma == std::string::npos || comma < equals ? equals + 1 : comma + 1);
  for (const std::string& value : values_of_key(word.substr(sign, equals - sign), dirs)) {
    candidates.push_back(kept + value);
  }
  return candidates;
}

Words variant_options(const std::string& variant) {
  Words options;
  const Registry registry = load_registry({}).registry;
  const Words names = registry.names();
  if (std::ranges::find(names, variant) == names.end()) return options;
  for (const OptionSpec& spec : registry.entry(variant).option_specs) {
    options.push_back(spec.name + "=");
  }
  return options;
}

Words argument_candidates(const Words& words, const std::vector<std::filesystem::path>& dirs) {
  const std::string& command = words.front();
  if (command == "run" || command == "compose") return override_candidates(words.back(), dirs);
  if (command == "completion") return shells();
  if (command == "check") {
    return words.size() == 2 ? load_registry({}).registry.names() : variant_options(words[1]);
  }
  if (command == "list" && words.size() == 2) {
    Words names = {"variants", "experiments", "tasks", "devices"};
    std::ranges::copy(group_names(dirs), std::back_inserter(names));
    return names;
  }
  return {};
}

}  // namespace

Completion complete(const Words& words, const std::vector<std::filesystem::path>& config_dirs) {
  Completion completion;
  if (words.empty()) return completion;
  const std::string& last = words.back();
  if (words.size() == 1) {
    completion.words = command_names();
    for (const char* flag : {"--help", "--version"}) completion.words.push_back(flag);
  } else if (const FlagValue value = value_of_flag(words[words.size() - 2]); value.found) {
    completion = value.completion;
  } else if (last.starts_with("-")) {
    completion.words = flags_of_command(words.front());
  } else {
    try {
      completion.words = argument_candidates(words, config_dirs);
    } catch (const Error&) {
      // A message would be printed into the line that is being typed.
    }
  }
  std::erase_if(completion.words, [&](const std::string& word) { return !word.starts_with(last); });
  return completion;
}

int completion_command(const Arguments& arguments) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  write_stdout(completion_script(arguments.shell, program));
  return 0;
}

int complete_command(const Arguments& arguments) {
  // A folder of configs that the line names already counts.
  Arguments line;
  for (std::size_t i = 0; i + 2 < arguments.words.size(); ++i) {
    if (arguments.words[i] == "--config-dir") line.config_dir = arguments.words[i + 1];
  }
  std::error_code ignored;
  if (!std::filesystem::is_directory(line.config_dir, ignored)) line.config_dir.clear();
  const Completion completion = complete(arguments.words, config_dirs(line));
  std::string text;
  for (const std::string& word : completion.words) text += word + "\n";
  if (completion.paths == Paths::kFiles) text += ":files\n";
  if (completion.paths == Paths::kFolders) text += ":folders\n";
  write_stdout(text);
  return 0;
}

}  // namespace attnlab::cli
