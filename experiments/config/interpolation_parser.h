// The grammar of ${...}: references to other keys, and calls of resolvers.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// A text with interpolations, taken apart but not evaluated.
struct Expression {
  enum class Kind {
    kLiteral,    ///< a value
    kText,       ///< parts one after the other, as text
    kReference,  ///< ${..a.b}: dots, then parts as keys
    kCall,       ///< ${name.name:argument,...}
    kList,       ///< parts
    kDict,       ///< keys and parts
  };
  Kind kind = Kind::kLiteral;
  Tree literal;
  std::vector<Expression> parts;
  std::vector<Expression> name;   ///< kCall: its parts between dots
  std::vector<std::string> keys;  ///< kDict
  std::size_t dots = 0;           ///< kReference: 0 = from the top
  std::string source;             ///< kReference, kCall: as written, for messages
};

/// Parses a value of a config file. One interpolation that is the whole text is that expression
/// itself. `\${` stays `${`; in front of `${` a pair of backslashes is one. Throws ConfigError
/// naming `position` for syntax errors and nesting beyond 32.
Expression parse_interpolated(std::string_view text, const Position& position);

/// Parses a single value as it may stand as an argument: a word, number, quoted text, [list] or
/// {dict: 1}.
Expression parse_argument(std::string_view text, const Position& position);

}  // namespace attnlab::config
