// Numbers and texts inside the functions of an override: Python's casts, ranges, and a shuffle that
// is the same everywhere.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/config/tree.h"
#include "experiments/config/value_element.h"

namespace attnlab::config {

/// `name` is "int", "float", "str" or "bool": what Python's function of that name makes of a scalar
/// (str of a bool is "true" or "false", bool of a text wants one of them). Throws ConfigError
/// (without a place).
Tree cast_scalar(const std::string& name, const Tree& scalar);

/// The value of a bool, int or float that is not NaN.
std::optional<double> finite_or_infinite(const Tree& scalar);

/// Arithmetic on ints and floats; ints stay ints. ConfigError where an int overflows.
double as_number(const Tree& scalar);
Tree sum(const Tree& a, const Tree& b);
Tree negated(const Tree& scalar);
Tree magnitude(const Tree& scalar);

/// start, start + step, ... before stop; ints if all three are. Each is start + i * step, rounded
/// once. ConfigError for a step of 0, values that are not finite, and more than `most` values.
std::vector<Tree> range_values(const Tree& start, const Tree& stop, const Tree& step,
                               std::size_t most);

/// Fisher and Yates' shuffle; the order depends on `seed_text` alone.
std::vector<Element> shuffled(std::vector<Element> items, std::string_view seed_text);

/// The value as JSON on one line. ConfigError for sweeps.
std::string json_text(const Element& element);

}  // namespace attnlab::config
