// Reads YAML into the immutable tree, strictly: what is ambiguous or dangerous is refused with
// file:line:col instead of being guessed.
#pragma once

#include <filesystem>
#include <string>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// Parses one YAML document (an empty one gives null). Scalars resolve as in resolve_yaml_scalar;
/// quoted ones stay strings; `<<` merges. Throws ConfigError for syntax errors, duplicate keys
/// (naming both places), a second document, tags, keys that are not strings, invalid UTF-8 or
/// control characters, and for the limits kMaxDepth, kMaxNodes (after aliases), kMaxStringBytes,
/// kMaxKeyBytes. `source` names the text in positions.
Tree parse_yaml(const std::string& text, const std::string& source);

/// The same for a file. Throws ConfigError if it cannot be read, is no regular file, or is larger
/// than kMaxFileBytes.
Tree load_yaml(const std::filesystem::path& file);

/// The text of a file under the same checks of type and size.
std::string read_config_text(const std::filesystem::path& file);

}  // namespace attnlab::config
