// Bytes that are UTF-8, and what a parser leaves that are not.
#pragma once

#include <cstddef>
#include <string>

namespace attnlab::config {

/// Length of the valid UTF-8 sequence at `text[i]`, 0 if there is none (RFC 3629: no overlong
/// forms, no surrogates, nothing above U+10FFFF).
std::size_t utf8_length(const std::string& text, std::size_t i);

/// `text` with each byte that belongs to no UTF-8 sequence as the character of that number.
/// yaml-cpp gives the escapes \N and \_ (U+0085, U+00A0; YAML 1.2, 5.7) as such bytes.
std::string complete_latin1(const std::string& text);

}  // namespace attnlab::config
