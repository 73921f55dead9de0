#include "experiments/config/defaults_entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "experiments/config/emit_yaml.h"
#include "experiments/config/group_files.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

using Entry = DefaultsEntry;

[[noreturn]] void fail(const Position& position, const std::string& message) {
  throw ConfigError(fmt::format("[config] {}: {}", position.to_string(), message));
}

std::string dotted(std::string path) {
  std::replace(path.begin(), path.end(), '/', '.');
  return path;
}

constexpr std::string_view kGroupWord = "_group_";

/// `text` with every `word` in it replaced.
std::string replaced(std::string text, std::string_view word, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += by.size()) {
    text.replace(at, word.size(), by);
  }
  return text;
}

/// "word rest" -> true, and `text` becomes the rest.
bool take_word(std::string& text, std::string_view word) {
  if (!text.starts_with(word) || text.size() <= word.size() || text[word.size()] != ' ')
    return false;
  text = text.substr(text.find_first_not_of(' ', word.size()));
  return true;
}

/// "optionl db" -> " Did you mean 'optional db'?".
std::string meant_word(const std::string& path) {
  const std::size_t blank = path.find(' ');
  if (blank == std::string::npos) return {};
  const std::string word = nearest_name(path.substr(0, blank), {"optional", "override"});
  if (word.empty()) return "; a group's name has no blanks";
  return fmt::format(". Did you mean '{}{}'?", word, path.substr(blank));
}

/// Splits "[/]path[@package]" and makes the path absolute below `folder`.
void parse_path(std::string text, const std::string& folder, Entry& entry) {
  if (const std::size_t at = text.find('@'); at != std::string::npos) {
    entry.package = text.substr(at + 1);
    text = text.substr(0, at);
    if (entry.package->find('@') != std::string::npos || entry.package->empty()) {
      fail(entry.position, fmt::format("'{}@{}' is not understood; write group@package with one @",
                                       text, *entry.package));
    }
  }
  const bool absolute = text.starts_with("/");
  entry.relative_path = absolute ? text.substr(1) : text;
  const bool later = entry.kind == Entry::Kind::kConfig && is_interpolated(entry.relative_path);
  if (!later) {
    try {
      check_config_path(entry.relative_path, entry.position);
    } catch (const ConfigError& error) {
      throw ConfigError(error.what() + meant_word(entry.relative_path));
    }
  }
  entry.path =
      absolute || folder.empty() ? entry.relative_path : folder + "/" + entry.relative_path;
}

/// What an entry is that is none.
std::string not_an_entry(const Tree& tree) {
  const std::string found =
      tree.is_map()
          ? fmt::format("a map of {} keys; put a '- ' in front of each", tree.entries().size())
          : std::string(tree.kind_name());
  return fmt::format(
      "an entry of a defaults list is 'group: option', 'optional group: option', 'override /group: "
      "option', the name of a config, or _self_; this is {}",
      found);
}

}  // namespace

DefaultsEntry parse_defaults_entry(const Tree& tree, const std::string& folder) {
  Entry entry;
  entry.position = tree.position();
  if (tree.is_string()) {
    entry.kind = tree.as_string() == "_self_" ? Entry::Kind::kSelf : Entry::Kind::kConfig;
    if (entry.kind == Entry::Kind::kConfig) {
      parse_path(tree.as_string(), folder, entry);
    }
    return entry;
  }
  if (!tree.is_map() || tree.entries().size() != 1) fail(entry.position, not_an_entry(tree));
  const auto& [key, value] = tree.entries().front();
  if (key == "_self_") fail(entry.position, "_self_ takes no value; write '- _self_'");
  std::string text = key;
  if (take_word(text, "override")) {
    entry.kind = Entry::Kind::kOverride;
  } else {
    entry.optional = take_word(text, "optional");
  }
  parse_path(text, folder, entry);
  entry.options = parse_options(value);
  entry.missing = value.is_missing();
  entry.is_list = value.is_list();
  return entry;
}

std::vector<std::string> parse_options(const Tree& value) {
  const auto name = [&](const Tree& tree) {
    if (!tree.is_string()) {
      const bool quotable = !tree.is_map() && !tree.is_list();
      fail(tree.position(),
           fmt::format("the name of an option is needed here, and {} is {}{}", override_text(tree),
                       tree.kind_name(), quotable ? "; if an option has that name, quote it" : ""));
    }
    if (!is_interpolated(tree.as_string())) {
      check_config_path(tree.as_string(), tree.position());
    } else if (value.is_list()) {
      fail(tree.position(), "a list of options cannot hold an interpolation; name the option");
    }
    return tree.as_string();
  };
  if (value.is_null() || value.is_missing()) return {};
  if (!value.is_list()) return {name(value)};
  std::vector<std::string> options;
  for (const Tree& item : value.items()) options.push_back(name(item));
  return options;
}

std::string parent_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string after_global(const std::string& package) {
  constexpr std::string_view kGlobal = "_global_";
  const std::size_t place = package.rfind(kGlobal);
  if (place == std::string::npos) return package;
  const std::string rest = package.substr(place + kGlobal.size());
  return rest.empty() ? rest : rest.substr(1);
}

bool is_interpolated(const std::string& text) { return text.find("${") != std::string::npos; }

std::string package_of(const Entry& entry, const std::string& parent_package) {
  const bool is_config = entry.kind == Entry::Kind::kConfig;
  std::string own = dotted(is_config ? parent_folder(entry.relative_path) : entry.relative_path);
  if (entry.package) {
    own = *entry.package;
    if (own == "_here_") own = "";
    if (own.find(kGroupWord) != std::string::npos) {
      const std::string group = dotted(is_config ? parent_folder(entry.path) : entry.path);
      own = "_global_." + replaced(own, kGroupWord, group);
    }
  }
  return after_global(join_path(parent_package, own));
}

std::string override_key(const Entry& entry, const std::string& package) {
  if (package == dotted(entry.path)) return entry.path;
  return entry.path + "@" + (package.empty() ? "_global_" : package);
}

}  // namespace attnlab::config
