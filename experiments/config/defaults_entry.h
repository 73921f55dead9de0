// One entry of a defaults list: what it says, and where its configs go.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// An entry, its paths made absolute.
struct DefaultsEntry {
  enum class Kind { kSelf, kConfig, kGroup, kOverride };
  Kind kind = Kind::kGroup;
  std::string path;           ///< of the group (kGroup, kOverride) or of the config (kConfig)
  std::string relative_path;  ///< as written, without the leading '/': decides the package
  std::optional<std::string> package;
  std::vector<std::string> options;  ///< empty = null, nothing chosen
  bool optional = false;
  bool missing = false;  ///< ???
  bool is_list = false;  ///< written as a list of options
  bool by_user = false;  ///< +group=option of the command line
  Position position;
};

/// `folder` is that of the config that holds the list. Throws ConfigError, naming the place and the
/// forms that are understood.
DefaultsEntry parse_defaults_entry(const Tree& tree, const std::string& folder);

/// The names in `value`: one, a list of them, or none for null and ???. Throws ConfigError for
/// what names no option.
std::vector<std::string> parse_options(const Tree& value);

/// Where an entry's configs go, below the package of the config that holds the list: "a.b".
std::string package_of(const DefaultsEntry& entry, const std::string& parent_package);

/// The name under which overrides find a group: with its package if that is not the usual one.
std::string override_key(const DefaultsEntry& entry, const std::string& package);

/// "a._global_.b" -> "b": what stands behind the last "_global_" counts from the top.
std::string after_global(const std::string& package);

/// "a/b" -> "a"; "" where there is no '/'.
std::string parent_folder(const std::string& path);

/// True for a text with "${" in it.
bool is_interpolated(const std::string& text);

}  // namespace attnlab::config
