#include "variants/api/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "kernels/core/error.h"

namespace attnlab {
namespace {

const char* type_name(const OptionValue& value) {
  static constexpr const char* kNames[] = {"bool", "int", "float", "string"};
  return kNames[value.index()];
}

std::string allowed_text(const OptionSpec& spec) {
  if (!spec.choices.empty()) return "one of " + join_names(spec.choices);
  std::string text = type_name(spec.default_value);
  if (spec.min > -1e300) text += fmt::format(", at least {}", spec.min);
  if (spec.max < 1e300) text += fmt::format(", at most {}", spec.max);
  return text;
}

[[noreturn]] void throw_bad_value(std::string_view owner, const OptionSpec& spec,
                                  const OptionValue& value) {
  throw ConfigError(fmt::format("[variant {}] option '{}' is {} ({}). Allowed: {}. {}", owner,
                                spec.name, to_string(value), type_name(value), allowed_text(spec),
                                spec.help));
}

OptionValue checked(std::string_view owner, const OptionSpec& spec, OptionValue value) {
  const bool wants_float = std::holds_alternative<double>(spec.default_value);
  if (wants_float && std::holds_alternative<std::int64_t>(value)) {
    value = static_cast<double>(std::get<std::int64_t>(value));
  }
  if (value.index() != spec.default_value.index()) throw_bad_value(owner, spec, value);
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    const auto as_float = static_cast<double>(*number);
    if (as_float < spec.min || as_float > spec.max) throw_bad_value(owner, spec, value);
  }
  if (const auto* number = std::get_if<double>(&value)) {
    if (!(*number >= spec.min && *number <= spec.max)) throw_bad_value(owner, spec, value);
  }
  if (const auto* text = std::get_if<std::string>(&value); text && !spec.choices.empty()) {
    if (std::ranges::find(spec.choices, *text) == spec.choices.end()) {
      throw ConfigError(fmt::format("[variant {}] option '{}' is '{}'. Allowed: {}.{}", owner,
                                    spec.name, *text, join_names(spec.choices),
                                    did_you_mean(*text, spec.choices)));
    }
  }
  return value;
}

template <class T>
const T& get(const std::map<std::string, OptionValue>& values, const std::string& name) {
  const auto found = values.find(name);
  if (found == values.end() || !std::holds_alternative<T>(found->second)) {
    throw std::logic_error("option '" + name + "' was not declared with this type");
  }
  return std::get<T>(found->second);
}

std::string float_text(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  std::string text(buffer, end);
  const bool integral = text.find_first_of(".en") == std::string::npos;
  return integral ? text + ".0" : text;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

Options::Options(std::string_view owner, const std::vector<OptionSpec>& specs,
                 const std::map<std::string, OptionValue>& given) {
  std::vector<std::string> known;
  for (const OptionSpec& spec : specs) {
    known.push_back(spec.name);
    const auto found = given.find(spec.name);
    values_[spec.name] =
        found == given.end() ? spec.default_value : checked(owner, spec, found->second);
  }
  for (const auto& [name, value] : given) {
    if (values_.contains(name)) continue;
    throw ConfigError(fmt::format(
        "[variant {}] there is no option '{}' (given: {}). Known: {}.{}", owner, name,
        to_string(value), known.empty() ? "none" : join_names(known), did_you_mean(name, known)));
  }
}

bool Options::get_bool(const std::string& name) const { return get<bool>(values_, name); }
std::int64_t Options::get_int(const std::string& name) const {
  return get<std::int64_t>(values_, name);
}
double Options::get_float(const std::string& name) const { return get<double>(values_, name); }
const std::string& Options::get_string(const std::string& name) const {
  return get<std::string>(values_, name);
}

std::string Options::to_json() const {
  std::string out = "{";
  for (const auto& [name, value] : values_) {
    if (out.size() > 1) out += ',';
    const auto* text = std::get_if<std::string>(&value);
    out += quoted(name) + ':' + (text ? quoted(*text) : to_string(value));
  }
  return out + '}';
}

std::string to_string(const OptionValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&value)) return float_text(*number);
  return std::get<std::string>(value);
}

}  // namespace attnlab
