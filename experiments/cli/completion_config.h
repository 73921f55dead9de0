// What configs contribute to a line that is being typed: groups, options, keys and values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiments/config/compose.h"
#include "experiments/config/tree.h"

namespace attnlab::cli {

/// The composition that a line asks for so far, one job of it. Configs that cannot be read or
/// composed give no words.
class ConfigWords {
 public:
  /// `words`: `run`, `compose` or `explain-key`, then all words but the one that is being typed.
  explicit ConfigWords(const std::vector<std::string>& words);

  /// Groups and keys that an override can name, sorted: options of the variant that the line
  /// chooses are among them, and for the project's own commands all keys of the schema.
  std::vector<std::string> override_keys() const;
  /// Every map and value of the composed config, as --explain-key and --package take them.
  std::vector<std::string> paths() const;
  /// Values of a key, options of a group; {} where any value will do.
  std::vector<std::string> values(const std::string& key) const;
  /// The composed value of a key where it is a string, else "".
  std::string text_of(const std::string& key) const;
  /// Options of a group; "" = configs that --config-name can name.
  std::vector<std::string> options(const std::string& group) const;

 private:
  bool has_schema_ = false;
  config::ComposeRequest request_;
  std::vector<std::string> groups_;
  std::optional<config::Tree> config_;
};

}  // namespace attnlab::cli
