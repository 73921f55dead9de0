#include "experiments/cli/completion_config.h"

#include <algorithm>
#include <set>

#include "experiments/cli/arguments.h"
#include "experiments/cli/config_folders.h"
#include "experiments/config/group_files.h"
#include "experiments/config/override.h"
#include "experiments/config/schema.h"
#include "experiments/config/suggest.h"
#include "kernels/core/error.h"

namespace attnlab::cli {
namespace {

using Words = std::vector<std::string>;

/// The flags of a line that matter to its config, and its overrides.
Arguments read_line(const Words& words) {
  const std::vector<FlagSpec> specs = flags_of_command(words.front());
  Arguments line;
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (!words[i].starts_with("-")) {
      line.words.push_back(words[i]);
      continue;
    }
    std::string flag = words[i].substr(0, words[i].find('='));
    if (flag == "-cn") flag = "--config-name";
    if (flag == "-cd") flag = "--config-dir";
    const bool is_short = flag == "-c" || flag == "-i" || flag == "-p";
    const bool takes_value = is_short || std::ranges::any_of(specs, [&](const FlagSpec& spec) {
                               return spec.name == flag && !spec.value.empty();
                             });
    if (!takes_value) continue;
    std::string value;
    if (const std::size_t equals = words[i].find('='); equals != std::string::npos) {
      value = words[i].substr(equals + 1);
    } else if (i + 1 < words.size()) {
      value = words[++i];
    }
    if (flag == "--config-dir") line.config_dir = value;
    if (flag == "--config-name") line.config_name = value;
  }
  if (words.front() == "explain-key" && !line.words.empty()) line.words.erase(line.words.begin());
  return line;
}

/// One job's overrides: of a sweep the first value. What is no override is left out.
Words first_values(const Words& overrides) {
  Words result;
  for (const std::string& word : overrides) {
    try {
      const config::Override parsed = config::parse_override(word);
      if (!parsed.is_sweep) {
        result.push_back(word);
      } else if (!parsed.values.empty()) {
        result.push_back(parsed.with_value(parsed.values.front()).text);
      }
    } catch (const Error&) {
      // The run will say what is wrong with it.
    }
  }
  return result;
}

std::optional<config::Tree> first_config(const config::ComposeRequest& request) {
  try {
    return config::compose(request).at(0).config;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void add_leaves(const config::Tree& node, const std::string& path, std::set<std::string>& keys) {
  constexpr std::size_t kMost = 2000;
  if (keys.size() >= kMost) return;
  if (!node.is_map()) {
    keys.insert(path);
    return;
  }
  for (const auto& [key, value] : node.entries()) {
    add_leaves(value, config::join_path(path, key), keys);
  }
}

}  // namespace

ConfigWords::ConfigWords(const Words& words) : has_schema_(words.front() != "compose") {
  try {
    Arguments line = read_line(words);
    line.words = first_values(line.words);
    request_ = has_schema_ ? run_request(line) : compose_request(line);
    groups_ = group_names(request_.config_dirs);
  } catch (const Error&) {
    return;
  }
  request_.schema_free = true;  // `sweep:` stays, so that there is one job
  config_ = first_config(request_);
  if (config_) return;
  // A line that is not complete need not compose.
  request_.overrides.clear();
  config_ = first_config(request_);
}

Words ConfigWords::override_keys() const {
  std::set<std::string> keys(groups_.begin(), groups_.end());
  if (config_) add_leaves(has_schema_ ? config_->without("sweep") : *config_, "", keys);
  if (has_schema_) {
    for (const config::KeySpec& spec : config::key_specs()) keys.insert(spec.path);
    std::erase_if(keys, [](const std::string& key) { return key.ends_with(".name"); });
  }
  return {keys.begin(), keys.end()};
}

Words ConfigWords::paths() const { return config_ ? config::all_paths(*config_) : Words(); }

Words ConfigWords::values(const std::string& key) const {
  const std::string group = key.substr(0, key.find('@'));
  if (std::ranges::find(groups_, group) != groups_.end()) return options(group);
  if (has_schema_) {
    for (const config::KeySpec& spec : config::key_specs()) {
      if (spec.path == key && !spec.choices.empty()) return spec.choices;
      if (spec.path == key && spec.type == config::KeyType::kBool) return {"true", "false"};
    }
  }
  const config::Tree* value = config_ ? config_->find_path(key) : nullptr;
  if (value != nullptr && value->kind() == config::Tree::Kind::kBool) return {"true", "false"};
  return {};
}

std::string ConfigWords::text_of(const std::string& key) const {
  const config::Tree* value = config_ ? config_->find_path(key) : nullptr;
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

Words ConfigWords::options(const std::string& group) const {
  Words names;
  try {
    for (const config::GroupOption& option : config::group_options(request_.config_dirs, group)) {
      names.push_back(option.name);
    }
  } catch (const Error&) {
    return {};
  }
  return names;
}

}  // namespace attnlab::cli
