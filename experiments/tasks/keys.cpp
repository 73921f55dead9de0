#include "experiments/tasks/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <stdexcept>
#include <utility>

#include "kernels/core/error.h"

namespace attnlab::tasks {
namespace {

template <class T>
const T& get(const KeyValues& values, const std::string& name) {
  const auto found = values.find(name);
  if (found == values.end() || !std::holds_alternative<T>(found->second)) {
    throw std::logic_error("key '" + name + "' was not declared with this type");
  }
  return std::get<T>(found->second);
}

const OptionSpec& spec_of(std::string_view task, const std::vector<OptionSpec>& specs,
                          const std::string& name) {
  std::vector<std::string> known;
  for (const OptionSpec& spec : specs) {
    if (spec.name == name) return spec;
    known.push_back(spec.name);
  }
  throw ConfigError(
      fmt::format("[task {}] there is no key '{}'.{} Known: {}. See attnlab data {} "
                  "--help.",
                  task, name, did_you_mean(name, known), join_names(known), task));
}

[[noreturn]] void refuse(std::string_view task, const OptionSpec& spec, const std::string& given,
                         const std::string& hint = "") {
  throw ConfigError(fmt::format("[task {}] {}={} is not possible. Allowed: {} ({}).{}", task,
                                spec.name, given, allowed_text(spec), spec.help, hint));
}

/// Both ends of the range are known to be numbers that the type can hold.
OptionValue checked(std::string_view task, const OptionSpec& spec, OptionValue value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value);
      integer != nullptr && std::holds_alternative<double>(spec.default_value)) {
    value = static_cast<double>(*integer);
  }
  const std::string text = value_text(value);
  if (value.index() != spec.default_value.index()) refuse(task, spec, text);
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    const auto number = static_cast<double>(*integer);
    if (number < spec.min || number > spec.max) refuse(task, spec, text);
  }
  if (const auto* number = std::get_if<double>(&value)) {
    if (!(*number >= spec.min && *number <= spec.max)) refuse(task, spec, text);
  }
  if (const auto* choice = std::get_if<std::string>(&value); choice && !spec.choices.empty()) {
    if (std::ranges::find(spec.choices, *choice) == spec.choices.end()) {
      refuse(task, spec, text, did_you_mean(*choice, spec.choices));
    }
  }
  return value;
}

template <class Number>
bool parse_whole(std::string_view text, Number& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stop == end;
}

/// The text as the type of the declaration.
OptionValue parse_value(std::string_view task, const OptionSpec& spec, const std::string& text) {
  if (std::holds_alternative<std::string>(spec.default_value)) return text;
  if (std::holds_alternative<bool>(spec.default_value)) {
    if (text == "true" || text == "false") return text == "true";
  } else if (std::holds_alternative<double>(spec.default_value)) {
    double number = 0;
    if (parse_whole(text, number)) return number;
  } else {
    std::int64_t integer = 0;
    if (parse_whole(text, integer)) return integer;
  }
  refuse(task, spec, "'" + text + "'");
}

}  // namespace

Keys::Keys(std::string_view task, const std::vector<OptionSpec>& specs, const KeyValues& given) {
  for (const OptionSpec& spec : specs) values_[spec.name] = spec.default_value;
  for (const auto& [name, value] : given) {
    values_[name] = checked(task, spec_of(task, specs, name), value);
  }
}

bool Keys::get_bool(const std::string& name) const { return get<bool>(values_, name); }
std::int64_t Keys::get_int(const std::string& name) const {
  return get<std::int64_t>(values_, name);
}
double Keys::get_float(const std::string& name) const { return get<double>(values_, name); }
const std::string& Keys::get_string(const std::string& name) const {
  return get<std::string>(values_, name);
}

KeyValues parse_words(std::string_view task, const std::vector<OptionSpec>& specs,
                      const std::vector<std::string>& words) {
  KeyValues values;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw ConfigError(fmt::format(
          "[task {}] '{}' is no key with a value. Write KEY=VALUE, as in seed=1. See attnlab data "
          "{} --help.",
          task, word, task));
    }
    const OptionSpec& spec = spec_of(task, specs, word.substr(0, equals));
    const OptionValue value = checked(task, spec, parse_value(task, spec, word.substr(equals + 1)));
    if (!values.emplace(spec.name, value).second) {
      throw ConfigError(
          fmt::format("[task {}] the key '{}' is given twice; give it once", task, spec.name));
    }
  }
  return values;
}

const char* type_name(const OptionValue& value) {
  constexpr const char* kNames[] = {"bool", "int", "float", "string"};
  return kNames[value.index()];
}

std::string value_text(const OptionValue& value) {
  return std::visit([](const auto& each) { return fmt::format("{}", each); }, value);
}

std::string allowed_text(const OptionSpec& spec) {
  if (!spec.choices.empty()) return "one of " + join_names(spec.choices);
  std::string text = type_name(spec.default_value);
  if (std::holds_alternative<std::int64_t>(spec.default_value)) {
    text += fmt::format(" from {:.0f} to {:.0f}", spec.min, spec.max);
  } else if (std::holds_alternative<double>(spec.default_value)) {
    text += fmt::format(" from {} to {}", spec.min, spec.max);
  }
  return text;
}

OptionSpec int_key(std::string name, std::int64_t value, std::int64_t min, std::int64_t max,
                   std::string help) {
  return {std::move(name),         value, std::move(help), {}, static_cast<double>(min),
          static_cast<double>(max)};
}

OptionSpec float_key(std::string name, double value, double min, double max, std::string help) {
  return {std::move(name), value, std::move(help), {}, min, max};
}

OptionSpec choice_key(std::string name, std::string value, std::vector<std::string> choices,
                      std::string help) {
  return {std::move(name), std::move(value), std::move(help), std::move(choices)};
}

OptionSpec seed_key() {
  // Numbers up to here are exact as a double, in which the range is kept.
  return int_key("seed", 0, 0, std::int64_t{1} << 53, "same seed, same samples");
}

}  // namespace attnlab::tasks
