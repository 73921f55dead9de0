// How a fuzz target says that what it found is wrong.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace attnlab::fuzz {

/// Ends the program, which the fuzzer takes for a finding, with a message that says what broke.
inline void require(bool holds, const char* property, const std::string& details = "") {
  if (holds) return;
  std::fprintf(stderr, "property broken: %s\n%s\n", property, details.c_str());
  std::abort();
}

}  // namespace attnlab::fuzz
