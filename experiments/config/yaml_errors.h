// Says in words what the YAML parser found: its own phrases ("illegal map value") name the rule of
// the grammar, not the slip behind it.
#pragma once

#include <optional>
#include <string>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// A '[' or '{' that is not closed yet.
struct OpenBracket {
  bool is_list = false;
  Position position;
};

/// What is wrong and what to do about it. `phrase` is the parser's; `line` and `column` (from 0)
/// are its place in `text`.
std::string explain_yaml_error(const std::string& phrase, const std::string& text, int line,
                               int column, const std::optional<OpenBracket>& open);

/// The place (from 0) of the quote in `text` that is never closed, looked for from `line` and
/// `column` (from 0) on: a quote where a value may begin, without its end. The end of the text
/// where there is none.
std::size_t unclosed_quote(const std::string& text, int line, int column);

}  // namespace attnlab::config
