// The files of the config folders: which groups and options there are, and their parsed contents.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// One option of a config group, e.g. `flash` of `variant`.
struct GroupOption {
  std::string name;
  std::string description;  ///< the file's first comment line; empty where it has none
};

/// The options of `group` ("" = the top-level configs) in all folders, sorted by name; of a name in
/// several folders the first counts. Throws ConfigError for a folder that does not exist.
std::vector<GroupOption> group_options(const std::vector<std::filesystem::path>& config_dirs,
                                       const std::string& group);

/// A config file taken apart.
struct ConfigFile {
  Tree body;                           ///< a map, without `defaults`
  std::optional<Tree> defaults;        ///< the defaults list as written
  std::optional<std::string> package;  ///< of a `# @package` header
  std::string name;                    ///< the path as messages show it
};

/// Finds and caches config files. Folders are searched in order.
class ConfigFiles {
 public:
  /// Throws ConfigError for a folder that does not exist.
  explicit ConfigFiles(std::vector<std::filesystem::path> config_dirs);

  bool is_group(const std::string& path) const;
  bool exists(const std::string& config_path) const;
  /// `config_path` such as "variant/flash". Throws ConfigError if the file does not exist or is
  /// wrong. The reference lives as long as this object.
  const ConfigFile& load(const std::string& config_path);

  std::vector<std::string> option_names(const std::string& group) const;
  /// All folders with configs, "a", "a/b", sorted.
  std::vector<std::string> group_names() const;
  /// A sentence for the message about a config that is not there: another ending, a broken link;
  /// "" where there is nothing to say.
  std::string why_absent(const std::string& config_path) const;
  /// The folders, for messages.
  std::string searched() const;

 private:
  std::optional<std::filesystem::path> find(const std::string& config_path) const;

  std::vector<std::filesystem::path> config_dirs_;
  std::map<std::string, ConfigFile> loaded_;
};

/// Throws ConfigError unless `path` is made of letters, digits and `_ . / -` and stays below the
/// config folder (no "..", not absolute).
void check_config_path(const std::string& path, const Position& position);

}  // namespace attnlab::config
