#include "experiments/config/group_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>
#include <system_error>

#include "experiments/config/load_yaml.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxOptionsOfGroup = 10'000;

bool well_formed(const std::string& path) {
  if (path.empty() || path.size() > kMaxKeyBytes || path.front() == '/' || path.back() == '/') {
    return false;
  }
  for (const char c : path) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 &&
        std::string_view("_./-").find(c) == std::string_view::npos) {
      return false;
    }
  }
  std::istringstream parts(path);
  for (std::string part; std::getline(parts, part, '/');) {
    if (part.empty() || part == "." || part.find("..") != std::string::npos) return false;
  }
  return true;
}

/// True if `file`, with links resolved, lies below `dir`.
bool inside(const fs::path& file, const fs::path& dir) {
  std::error_code error;
  const fs::path real_file = fs::canonical(file, error);
  if (error) return false;
  const fs::path real_dir = fs::canonical(dir, error);
  if (error) return false;
  const fs::path relative = real_file.lexically_relative(real_dir);
  return !relative.empty() && *relative.begin() != "..";
}

std::string trim(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

/// `# @package x`; other comments end the headers, blank lines do not.
std::optional<std::string> package_header(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    line = trim(line);
    if (line.empty()) continue;
    const std::string comment = line[0] == '#' ? trim(line.substr(1)) : "";
    if (!comment.starts_with("@")) return {};
    const std::size_t blank = comment.find_first_of(" \t");
    const std::string value = blank == std::string::npos ? "" : trim(comment.substr(blank));
    if (value.empty()) {
      throw ConfigError(
          fmt::format("[config] {}:{}:1: the header '{}' needs a value, e.g. "
                      "'# @package _global_'",
                      name, number, line));
    }
    if (comment.substr(0, blank) == "@package") return value;
  }
  return {};
}

/// The first comment line that is no header.
std::string description(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    line = trim(line);
    if (line.empty()) continue;
    if (line[0] != '#') return {};
    const std::string comment = trim(line.substr(line.find_first_not_of('#') == std::string::npos
                                                     ? line.size()
                                                     : line.find_first_not_of('#')));
    if (!comment.empty() && !comment.starts_with("@package")) return comment;
  }
  return {};
}

/// What a file of one word was probably meant to be: "lr:1" and "lr = 1" are no pairs in YAML.
std::string advice_for_text(const Tree& tree) {
  if (!tree.is_string()) return {};
  const std::string& text = tree.as_string();
  const std::size_t sign = text.find_first_of(":=");
  if (sign == std::string::npos || text.size() > 100) return {};
  return fmt::format("; write '{}: {}'", trim(text.substr(0, sign)), trim(text.substr(sign + 1)));
}

void check_dirs(const std::vector<fs::path>& config_dirs) {
  if (config_dirs.empty()) throw ConfigError("[config] no config folder was given");
  for (const fs::path& dir : config_dirs) {
    std::error_code error;
    if (!fs::is_directory(dir, error)) {
      throw ConfigError(
          fmt::format("[config] the config folder '{}' does not exist; "
                      "name one with --config-dir",
                      dir.string()));
    }
  }
}

}  // namespace

void check_config_path(const std::string& path, const Position& position) {
  if (well_formed(path)) return;
  const auto why = [&]() -> std::string {
    if (path.empty()) return "the name of a config is missing";
    std::string shown = path.size() <= 200 ? path : path.substr(0, 200) + "...";
    if (path.find('\\') != std::string::npos) {
      return fmt::format("'{}' has a backslash; groups are separated by /", shown);
    }
    const char* const rest = "; configs lie below the config folder, which --config-dir names";
    if (path.find("..") != std::string::npos) {
      return fmt::format("'{}' has '..' in it{}", shown, rest);
    }
    if (path.front() == '/') return fmt::format("'{}' is an absolute path{}", shown, rest);
    return fmt::format(
        "'{}' is not the name of a config; allowed are letters, digits and _ . - with / between "
        "groups",
        shown);
  };
  throw ConfigError(fmt::format("[config] {}: {}", position.to_string(), why()));
}

std::vector<GroupOption> group_options(const std::vector<fs::path>& config_dirs,
                                       const std::string& group) {
  check_dirs(config_dirs);
  if (!group.empty()) check_config_path(group, {});
  std::map<std::string, fs::path> found;
  for (const fs::path& dir : config_dirs) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(dir / group, error)) {
      if (entry.path().extension() != ".yaml" || !inside(entry.path(), dir)) continue;
      found.emplace(entry.path().stem().string(), entry.path());
      if (found.size() > kMaxOptionsOfGroup) {
        throw ConfigError(fmt::format("[config] {}: more than {} configs in one folder",
                                      (dir / group).string(), kMaxOptionsOfGroup));
      }
    }
  }
  std::vector<GroupOption> options;
  for (const auto& [name, file] : found) {
    options.push_back({name, description(read_config_text(file))});
  }
  return options;
}

ConfigFiles::ConfigFiles(std::vector<fs::path> config_dirs) : config_dirs_(std::move(config_dirs)) {
  check_dirs(config_dirs_);
}

bool ConfigFiles::is_group(const std::string& path) const {
  if (!well_formed(path)) return false;
  return std::any_of(config_dirs_.begin(), config_dirs_.end(), [&](const fs::path& dir) {
    std::error_code error;
    return fs::is_directory(dir / path, error) && inside(dir / path, dir);
  });
}

std::optional<fs::path> ConfigFiles::find(const std::string& config_path) const {
  if (!well_formed(config_path)) return {};
  for (const fs::path& dir : config_dirs_) {
    const fs::path file = dir / (config_path + ".yaml");
    std::error_code error;
    if (!fs::exists(file, error)) continue;
    if (!inside(file, dir)) {
      throw ConfigError(
          fmt::format("[config] {}: the link leads out of the config folder '{}'; "
                      "copy the file, or name its folder with --config-dir",
                      file.string(), dir.string()));
    }
    return file;
  }
  return {};
}

bool ConfigFiles::exists(const std::string& config_path) const {
  return loaded_.count(config_path) != 0 || find(config_path).has_value();
}

const ConfigFile& ConfigFiles::load(const std::string& config_path) {
  if (const auto cached = loaded_.find(config_path); cached != loaded_.end()) {
    return cached->second;
  }
  const auto file = find(config_path);
  if (!file) {
    throw ConfigError(fmt::format("[config] there is no config '{}' in {}.{}", config_path,
                                  searched(), why_absent(config_path)));
  }
  const std::string text = read_config_text(*file);
  ConfigFile result;
  result.name = file->string();
  result.package = package_header(text, result.name);
  Tree tree = parse_yaml(text, result.name);
  if (tree.is_null()) tree = Tree::of_map({}, tree.position());
  if (!tree.is_map()) {
    throw ConfigError(fmt::format("[config] {}: a config file holds a map (key: value), not {}{}",
                                  tree.position().to_string(), tree.kind_name(),
                                  advice_for_text(tree)));
  }
  if (const Tree* defaults = tree.find("defaults")) {
    result.defaults = *defaults;
    tree = tree.without("defaults");
  }
  result.body = tree;
  return loaded_.emplace(config_path, std::move(result)).first->second;
}

std::vector<std::string> ConfigFiles::option_names(const std::string& group) const {
  std::vector<std::string> names;
  for (const GroupOption& option : group_options(config_dirs_, group)) names.push_back(option.name);
  return names;
}

std::vector<std::string> ConfigFiles::group_names() const {
  // A hint is not worth a walk through a whole disk that somebody names as the config folder.
  constexpr std::size_t kMostEntries = 20'000;
  constexpr int kDeepest = 8;
  std::set<std::string> names;
  std::size_t seen = 0;
  for (const fs::path& dir : config_dirs_) {
    std::error_code error;
    const auto options = fs::directory_options::skip_permission_denied;
    fs::recursive_directory_iterator entry(dir, options, error), end;
    for (; !error && entry != end && ++seen < kMostEntries; entry.increment(error)) {
      if (entry.depth() >= kDeepest) entry.disable_recursion_pending();
      const fs::path folder = entry->path().parent_path();
      if (entry->path().extension() != ".yaml" || folder == dir) continue;
      names.insert(folder.lexically_relative(dir).generic_string());
    }
  }
  return {names.begin(), names.end()};
}

std::string ConfigFiles::why_absent(const std::string& config_path) const {
  constexpr std::string_view kEnding = ".yaml";
  if (config_path.ends_with(kEnding)) {
    const std::string name = config_path.substr(0, config_path.size() - kEnding.size());
    if (exists(name)) return fmt::format(" Names of configs have no ending: write '{}'.", name);
  }
  if (!well_formed(config_path)) return {};
  for (const fs::path& dir : config_dirs_) {
    std::error_code error;
    const fs::path link = dir / (config_path + ".yaml"), other = dir / (config_path + ".yml");
    if (fs::is_symlink(fs::symlink_status(link, error))) {
      return fmt::format(" {} is a link that leads nowhere.", link.string());
    }
    if (fs::exists(other, error)) {
      return fmt::format(" {} is there, but configs end in .yaml: rename it.", other.string());
    }
  }
  return {};
}

std::string ConfigFiles::searched() const {
  std::vector<std::string> names;
  for (const fs::path& dir : config_dirs_) names.push_back(fmt::format("'{}'", dir.string()));
  return join_names(names);
}

}  // namespace attnlab::config
