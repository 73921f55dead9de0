// The grammar of what stands behind the `=` of an override.
#pragma once

#include <string_view>
#include <vector>

#include "experiments/config/tree.h"

namespace attnlab::config {

struct ParsedValues {
  std::vector<Tree> values;  ///< one; any number where swept
  bool is_sweep = false;
};

/// Parses `text` from `begin` on: a word, "quoted" text, [list], {dict: 1}, a comma sweep,
/// choice(...) or range(...). Recursive descent; nesting is limited by kMaxDepth. Throws
/// ConfigError naming `position`, the character and what was expected.
ParsedValues parse_values(std::string_view text, std::size_t begin, const Position& position);

}  // namespace attnlab::config
