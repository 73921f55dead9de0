// Names of environment variables whose values are never written down.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

namespace attnlab::config {

/// Whether a name speaks of a secret, in whatever case: it holds KEY, TOKEN, SECRET, PASSWD,
/// PASSWORD or CREDENTIAL.
inline bool is_secret_name(std::string name) {
  constexpr std::array<std::string_view, 6> kWords = {"KEY",    "TOKEN",    "SECRET",
                                                      "PASSWD", "PASSWORD", "CREDENTIAL"};
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](std::string_view word) { return name.find(word) != std::string::npos; });
}

}  // namespace attnlab::config
