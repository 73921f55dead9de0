// The grammar of what stands behind the `=` of an override.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// Patterns as shells have them (* ? [ab]) that choose among the options of a group.
struct Glob {
  std::vector<std::string> include;
  std::vector<std::string> exclude;

  /// The names that one pattern of `include` matches and none of `exclude`, in their order.
  std::vector<std::string> filter(const std::vector<std::string>& names) const;
};

struct ParsedValues {
  std::vector<Tree> values;  ///< one; any number where swept
  bool is_sweep = false;
  bool extends = false;      ///< the one value is a list to append: extend_list(...)
  std::optional<Glob> glob;  ///< a sweep whose values only the config folders can tell
};

/// Parses `text` from `begin` on: a word, "quoted" text, [list], {dict: 1}, a comma sweep, or a
/// function of value_functions.h. Recursive descent; nesting is limited by kMaxDepth. Throws
/// ConfigError naming `position`, the character and what was expected.
ParsedValues parse_values(std::string_view text, std::size_t begin, const Position& position);

}  // namespace attnlab::config
