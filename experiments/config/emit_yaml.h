// Writes a tree as YAML that reads back as the same tree.
#pragma once

#include <string>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// Block style, two spaces, keys in their order, one line a scalar, ending in a newline. A string
/// that would read as something else is quoted; floats have the fewest digits that read back as the
/// same number.
std::string emit_yaml(const Tree& tree);

/// The value as one may write it after `key=` in an override: it parses back to the same value (an
/// interpolation stays one).
std::string override_text(const Tree& tree);

}  // namespace attnlab::config
