// The words of an override's value, as Hydra's grammar cuts them: the longest match counts, and
// blanks belong to the sign beside them.
#pragma once

#include <string_view>
#include <vector>

#include "experiments/config/tree.h"

namespace attnlab::config {

struct ValueToken {
  enum class Kind {
    kOpenParen,
    kCloseParen,
    kOpenBracket,
    kCloseBracket,
    kOpenBrace,
    kCloseBrace,
    kComma,
    kColon,
    kEqual,
    kNumber,         ///< int or float, inf and nan among them
    kWord,           ///< a name; true, false and null are words here
    kSign,           ///< one of / - \ + . $ % * @ ? |
    kEscaped,        ///< a run of escaped characters
    kSpace,          ///< blanks that belong to no sign
    kQuoted,         ///< with its quotes
    kInterpolation,  ///< ${...}, with what is nested in it
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string_view text;  ///< part of the override
  std::size_t place = 0;  ///< in the override, from 0
};

/// Cuts `text` from `begin` on; the last token is kEnd. The tokens point into `text`. Throws
/// ConfigError naming `position` and the character.
std::vector<ValueToken> cut_value(std::string_view text, std::size_t begin,
                                  const Position& position);

}  // namespace attnlab::config
