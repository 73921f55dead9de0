// The functions that an override's value may call: choice, range, glob, sort, shuffle, int, float,
// str, bool, json_str, extend_list.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "experiments/config/value_element.h"

namespace attnlab::config {

/// Most values that one sweep, list or dict of an override may have.
inline constexpr std::size_t kMaxSweepValues = 1'000'000;

struct Argument {
  std::string name;  ///< empty where only the place counts
  Element value;
};

/// The result of a call, as in Hydra's grammar; quotes around an argument only protect its signs.
/// Throws ConfigError (without a place) for an unknown function, naming the nearest, and for
/// arguments that it does not take.
Element call_function(const std::string& name, std::vector<Argument> arguments);

/// The values of a choice or a range, in their order. A shuffled one depends on `seed_text` only,
/// so that the same command gives the same order on every machine. Throws ConfigError (without a
/// place) for a step of 0, numbers that are not finite, and beyond kMaxSweepValues.
std::vector<Element> sweep_values(const Element& sweep, std::string_view seed_text);

}  // namespace attnlab::config
