// How an unquoted word becomes a value. Two sets of rules, because users know both: YAML files
// follow OmegaConf (YAML 1.1 numbers and yes/no, floats with or without a dot), overrides follow
// Hydra's grammar (true/false/null/inf/nan in any case, no octal, no yes/no).
#pragma once

#include <string>
#include <string_view>

#include "experiments/config/tree.h"

namespace attnlab::config {

/// An unquoted scalar of a YAML file. "" and "~" are null, "???" is missing, "1e3" is a float,
/// "0x10", "0b1", "010" (octal), "1_000" and "1:30" (base 60) are ints. Throws ConfigError for an
/// integer outside 64 bits.
Tree resolve_yaml_scalar(std::string_view text, const Position& position);

/// An unquoted word of an override. Throws ConfigError for an integer outside 64 bits.
Tree resolve_override_scalar(std::string_view text, const Position& position);

/// Shortest digits that read back as the same float, always recognisable as a float: "0.1",
/// "1024.0", "1e-05", "1e+16", "inf", "nan" (the text that Python prints).
std::string float_text(double value);

/// The value as it appears inside a longer text by interpolation: as Python prints it ("True",
/// "None", "[1, 'a']").
std::string interpolated_text(const Tree& value);

}  // namespace attnlab::config
