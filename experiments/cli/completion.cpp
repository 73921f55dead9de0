#include "experiments/cli/completion.h"

#include <algorithm>
#include <iterator>
#include <sstream>

#include "experiments/cli/completion_config.h"
#include "experiments/cli/config_folders.h"
#include "experiments/cli/task_catalogue.h"
#include "experiments/config/group_files.h"
#include "kernels/core/error.h"

namespace attnlab::cli {
namespace {

using Words = std::vector<std::string>;
using Paths = Completion::Paths;

/// Commands of the script `./attnlab`, which passes all others on to the program.
const char* const kLauncherCommands[] = {"test", "bench", "fuzz", "build"};

bool composes(const std::string& command) {
  return command == "run" || command == "compose" || command == "explain-key";
}

Words split(const std::string& text, char separator) {
  Words parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

/// The values of a flag; `before` is the line up to it.
Completion flag_values(const FlagSpec& flag, const Words& before) {
  if (flag.value.find('|') != std::string::npos) return {split(flag.value, '|')};
  if (flag.value == "DIR") return {{}, Paths::kFolders};
  if (flag.value.starts_with("F")) return {{}, Paths::kFiles};
  if (flag.value == "KEY") return {ConfigWords(before).paths()};
  if (flag.value == "NAME") return {ConfigWords(before).options("")};
  return {};
}

/// An override: a group or a key, or after its '=' the values, of which a comma begins the next.
Words override_candidates(const Words& before, const std::string& word) {
  const ConfigWords config(before);
  Words candidates;
  const std::size_t sign = std::min(word.find_first_not_of("+~"), word.size());
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos) {
    const std::string sign_text = word.substr(0, sign);
    const char* const end = sign_text == "~" ? "" : "=";  // a removal takes no value
    for (const std::string& key : config.override_keys()) {
      candidates.push_back(sign_text + key + end);
    }
    return candidates;
  }
  const std::size_t comma = word.rfind(',');
  const std::string kept =
      word.substr(0, comma == std::string::npos || comma < equals ? equals + 1 : comma + 1);
  for (const std::string& value : config.values(word.substr(sign, equals - sign))) {
    candidates.push_back(kept + value);
  }
  return candidates;
}

/// The options of the group that are named as their variant; the others are presets.
Words variants() {
  Words names = ConfigWords({"run"}).options("variant");
  std::erase_if(names, [](const std::string& option) {
    return ConfigWords({"run", "variant=" + option}).text_of("variant.name") != option;
  });
  return names;
}

/// "window=": every variant has its options in its config.
Words variant_options(const std::string& variant) {
  Words options;
  const std::string prefix = "variant.";
  for (const std::string& key : ConfigWords({"run", "variant=" + variant}).override_keys()) {
    if (key.starts_with(prefix)) options.push_back(key.substr(prefix.size()) + "=");
  }
  return options;
}

Words task_keys(const std::string& task) {
  Words keys;
  for (const OptionSpec& spec : find_task(task, config_dirs({})).entry->specs) {
    keys.push_back(spec.name + "=");
  }
  return keys;
}

Words listable() {
  Words names = {"variants", "experiments", "tasks", "devices"};
  std::ranges::copy(group_names(config_dirs({})), std::back_inserter(names));
  return names;
}

Words argument_candidates(const Words& before, const std::string& word) {
  const std::string& command = before.front();
  const bool first = before.size() == 1;
  if (command == "explain-key" && first) return ConfigWords(before).paths();
  if (composes(command)) return override_candidates(before, word);
  if (command == "completion" && first) return {"bash", "zsh", "fish"};
  if (command == "list" && first) return listable();
  if (command == "check") {
    return first ? variants() : variant_options(before[1]);
  }
  if (command == "data") return first ? task_names(config_dirs({})) : task_keys(before[1]);
  return {};
}

Words first_words() {
  Words words = command_names();
  for (const char* name : kLauncherCommands) words.emplace_back(name);
  for (const char* flag : {"--help", "--version"}) words.emplace_back(flag);
  return words;
}

Completion candidates_for(const Words& before, const std::string& word) {
  if (before.empty()) return {first_words()};
  const std::vector<FlagSpec> flags = flags_of_command(before.front());
  for (const FlagSpec& flag : flags) {
    if (flag.value.empty()) continue;
    if (before.back() == flag.name) return flag_values(flag, before);
    if (!word.starts_with(flag.name + "=")) continue;
    Completion values = flag_values(flag, before);
    for (std::string& value : values.words) value = flag.name + "=" + value;
    return {values.words};
  }
  if (!word.starts_with("-")) return {argument_candidates(before, word)};
  Completion names;
  for (const FlagSpec& flag : flags) names.words.push_back(flag.name);
  return names;
}

}  // namespace

Completion complete(const Words& words) {
  if (words.empty()) return {};
  const Words before(words.begin(), words.end() - 1);
  const std::string& word = words.back();
  Completion completion;
  try {
    completion = candidates_for(before, word);
  } catch (const Error&) {
    return {};  // A message would be printed into the line that is being typed.
  }
  std::erase_if(completion.words, [&](const std::string& each) { return !each.starts_with(word); });
  return completion;
}

std::string answer_text(const Completion& completion) {
  if (completion.paths == Paths::kFiles) return ":files\n";
  if (completion.paths == Paths::kFolders) return ":folders\n";
  std::string text;
  for (const std::string& word : completion.words) text += word + "\n";
  return text;
}

}  // namespace attnlab::cli
