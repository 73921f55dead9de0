#include "experiments/config/scalar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "kernels/core/error.h"

namespace attnlab::config {
namespace {

using Words = std::array<std::string_view, 9>;
constexpr Words kTrue = {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"};
constexpr Words kFalse = {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"};

bool one_of(std::string_view text, const Words& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool digit(char c) { return c >= '0' && c <= '9'; }

/// True if `text` is not empty and has only characters of `allowed`.
bool only(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

constexpr std::string_view kDigits = "0123456789_";

std::string_view without_sign(std::string_view text) {
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::string strip(std::string_view text, std::string_view unwanted) {
  std::string result;
  for (const char c : text) {
    if (unwanted.find(c) == std::string_view::npos) result += c;
  }
  return result;
}

[[noreturn]] void fail_too_big(std::string_view text, const Position& position) {
  throw ConfigError(fmt::format(
      "[config] {}: integer {} does not fit into 64 bits; allowed are {} to {}; write a "
      "float (1e30) or quote it to keep text",
      position.to_string(), text, std::numeric_limits<std::int64_t>::min(),
      std::numeric_limits<std::int64_t>::max()));
}

/// `digits` of the given base with an optional sign in front; underscores are skipped.
std::int64_t parse_int(std::string_view text, std::string_view digits, int base,
                       const Position& position) {
  const std::string number = fmt::format("{}{}", text[0] == '-' ? "-" : "", strip(digits, "_"));
  std::int64_t value = 0;
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), value, base);
  if (error != std::errc() || end != number.data() + number.size()) fail_too_big(text, position);
  return value;
}

/// The float that `text` spells (already known to be well formed). Too large becomes infinite and
/// too small zero, as in Python.
double parse_float(std::string_view text) {
  const bool negative = text[0] == '-';
  const std::string number = strip(without_sign(text), "_");
  double value = 0;
  const auto result = std::from_chars(number.data(), number.data() + number.size(), value);
  if (result.ec == std::errc::result_out_of_range) {
    // from_chars leaves the value alone, so tell overflow from underflow by the first digit that is
    // not zero and the exponent.
    value = std::strtod(number.c_str(), nullptr);
  }
  return negative ? -value : value;
}

/// Base 60: 1:30 is 90. Digits and underscores, then parts of one or two digits below 60.
bool is_base60(std::string_view body) {
  const std::size_t colon = body.find(':');
  if (colon == std::string_view::npos || !only(body.substr(0, colon), kDigits)) return false;
  for (std::string_view rest = body.substr(colon); !rest.empty();) {
    rest.remove_prefix(1);
    const std::string_view part = rest.substr(0, rest.find(':'));
    if (part.size() > 2 || !only(part, "0123456789")) return false;
    if (part.size() == 2 && part[0] > '5') return false;
    rest.remove_prefix(part.size());
  }
  return true;
}

/// Hexadecimal, binary, octal, decimal or base 60 as in YAML 1.1; nothing if it is none of them.
std::optional<std::int64_t> yaml_int(std::string_view text, const Position& position) {
  const std::string_view body = without_sign(text);
  if (body.empty() || !digit(body[0])) return {};
  const bool has_digit = body.find_first_of("0123456789abcdefABCDEF", 2) != std::string_view::npos;
  if (body.starts_with("0x") && has_digit && only(body.substr(2), "0123456789abcdefABCDEF_")) {
    return parse_int(text, body.substr(2), 16, position);
  }
  if (body.starts_with("0b") && has_digit && only(body.substr(2), "01_")) {
    return parse_int(text, body.substr(2), 2, position);
  }
  if (body[0] == '0' && only(body, "01234567_")) return parse_int(text, body, 8, position);
  if (body[0] == '0') return {};
  if (only(body, kDigits)) return parse_int(text, body, 10, position);

  // First whether it is a number, then its value: a text may begin like one that is too large.
  if (!is_base60(body)) return {};
  const std::size_t colon = body.find(':');
  std::int64_t value = parse_int(text, body.substr(0, colon), 10, position);
  for (std::string_view rest = body.substr(colon); !rest.empty();) {
    rest.remove_prefix(1);
    const std::string_view part = rest.substr(0, rest.find(':'));
    const std::int64_t low = parse_int(part, part, 10, position) * (text[0] == '-' ? -1 : 1);
    if (__builtin_mul_overflow(value, std::int64_t{60}, &value) ||
        __builtin_add_overflow(value, low, &value)) {
      fail_too_big(text, position);
    }
    rest.remove_prefix(part.size());
  }
  return value;
}

/// "1:30.5" is 90.5: base 60 with a fraction, as in YAML 1.1.
std::optional<double> base60_float(std::string_view text) {
  std::string_view body = without_sign(text);
  const std::size_t dot = body.find('.');
  if (dot == std::string_view::npos || body.find(':') == std::string_view::npos) return {};
  if (!body.substr(dot + 1).empty() && !only(body.substr(dot + 1), kDigits)) return {};
  double value = 0, weight = 1;
  bool lowest = true;
  while (true) {
    const std::size_t colon = body.rfind(':');
    const bool first = colon == std::string_view::npos;
    const std::string_view part = first ? body : body.substr(colon + 1);
    const std::string_view whole = part.substr(0, part.find('.'));
    if (first ? !only(whole, kDigits) || !digit(whole.front())
              : !only(whole, "0123456789") || whole.size() > 2 ||
                    (whole.size() == 2 && whole[0] > '5')) {
      return {};
    }
    value += weight * std::strtod(strip(lowest ? part : whole, "_").c_str(), nullptr);
    if (first) return text[0] == '-' ? -value : value;
    weight *= 60;
    lowest = false;
    body = body.substr(0, colon);
  }
}

/// Digits, then a fraction and/or an exponent: the float forms that both rule sets share.
bool plain_float(std::string_view body) {
  std::size_t i = 0;
  while (i < body.size() && (digit(body[i]) || body[i] == '_')) ++i;
  if (i == 0 || !digit(body[0])) return false;
  const bool dot = i < body.size() && body[i] == '.';
  if (dot) {
    for (++i; i < body.size() && (digit(body[i]) || body[i] == '_');) ++i;
  }
  if (i == body.size()) return dot;
  if (body[i] != 'e' && body[i] != 'E') return false;
  return only(without_sign(body.substr(i + 1)), "0123456789");
}

/// ".5" and ".5e-3"; OmegaConf wants a sign in that exponent, and no sign in front.
bool leading_dot_float(std::string_view text) {
  if (text.size() < 2 || text[0] != '.' || !digit(text[1])) return false;
  std::size_t i = 1;
  while (i < text.size() && (digit(text[i]) || text[i] == '_')) ++i;
  if (i == text.size()) return true;
  if ((text[i] != 'e' && text[i] != 'E') || i + 1 >= text.size()) return false;
  return (text[i + 1] == '+' || text[i + 1] == '-') && only(text.substr(i + 2), "0123456789");
}

std::optional<double> special_float(std::string_view text) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::string_view body = without_sign(text);
  if (body == ".inf" || body == ".Inf" || body == ".INF") return text[0] == '-' ? -inf : inf;
  if (text == ".nan" || text == ".NaN" || text == ".NAN") {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return {};
}

/// Digits with single underscores between them, as Hydra writes numbers.
bool hydra_digits(std::string_view text) {
  return only(text, kDigits) && text.front() != '_' && text.back() != '_' &&
         text.find("__") == std::string_view::npos;
}

bool hydra_integer(std::string_view body) {
  return hydra_digits(body) && (body[0] != '0' || body == "0");
}

bool hydra_float(std::string_view body) {
  const std::size_t e = body.find_first_of("eE");
  const std::string_view mantissa = body.substr(0, e);
  if (e != std::string_view::npos && !hydra_digits(without_sign(body.substr(e + 1)))) return false;
  const std::size_t dot = mantissa.find('.');
  if (dot == std::string_view::npos) return e != std::string_view::npos && hydra_integer(mantissa);
  const std::string_view whole = mantissa.substr(0, dot), fraction = mantissa.substr(dot + 1);
  if (whole.empty() && fraction.empty()) return false;
  return (whole.empty() || hydra_integer(whole)) && (fraction.empty() || hydra_digits(fraction));
}

std::string quoted_text(const std::string& text) {
  const char quote =
      text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"' : '\'';
  std::string result(1, quote);
  for (const char c : text) {
    if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else {
      if (c == quote || c == '\\') result += '\\';
      result += c;
    }
  }
  return result + quote;
}

std::string nested_text(const Tree& value) {
  return value.is_string() ? quoted_text(value.as_string()) : interpolated_text(value);
}

}  // namespace

Tree resolve_yaml_scalar(std::string_view text, const Position& position) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return Tree::null(position);
  }
  if (text == "???") return Tree::missing(position);
  if (one_of(text, kTrue)) return Tree::of_bool(true, position);
  if (one_of(text, kFalse)) return Tree::of_bool(false, position);
  if (const auto value = special_float(text)) return Tree::of_float(*value, position);
  if (const auto value = yaml_int(text, position)) return Tree::of_int(*value, position);
  if (const auto value = base60_float(text)) return Tree::of_float(*value, position);
  if (plain_float(without_sign(text)) || leading_dot_float(text)) {
    return Tree::of_float(parse_float(text), position);
  }
  return Tree::of_string(std::string(text), position);
}

Tree resolve_override_scalar(std::string_view text, const Position& position) {
  const std::string word = lower(text);
  if (word == "null") return Tree::null(position);
  if (word == "true" || word == "false") return Tree::of_bool(word == "true", position);
  if (text == "???") return Tree::missing(position);
  const std::string_view body = without_sign(text);
  const std::string number = lower(body);
  if (number == "inf" || number == "nan") {
    const double value = number == "inf" ? std::numeric_limits<double>::infinity()
                                         : std::numeric_limits<double>::quiet_NaN();
    return Tree::of_float(text[0] == '-' ? -value : value, position);
  }
  if (hydra_integer(body)) return Tree::of_int(parse_int(text, body, 10, position), position);
  if (hydra_float(body)) return Tree::of_float(parse_float(text), position);
  return Tree::of_string(std::string(text), position);
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer;
  const double size = std::abs(value);
  // Python's limits between the two notations.
  const bool fixed = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto format = fixed ? std::chars_format::fixed : std::chars_format::scientific;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format).ptr;
  std::string text(buffer.data(), end);
  if (fixed && text.find('.') == std::string::npos) text += ".0";
  return text;
}

std::string interpolated_text(const Tree& value) {
  switch (value.kind()) {
    case Tree::Kind::kMissing: return "???";
    case Tree::Kind::kNull: return "None";
    case Tree::Kind::kBool: return value.as_bool() ? "True" : "False";
    case Tree::Kind::kInt: return std::to_string(value.as_int());
    case Tree::Kind::kFloat: return float_text(value.as_float());
    case Tree::Kind::kString: return value.as_string();
    case Tree::Kind::kList: {
      std::string text;
      for (const Tree& item : value.items()) {
        text += fmt::format("{}{}", text.empty() ? "" : ", ", nested_text(item));
      }
      return fmt::format("[{}]", text);
    }
    case Tree::Kind::kMap: {
      std::string text;
      for (const auto& [key, item] : value.entries()) {
        text +=
            fmt::format("{}{}: {}", text.empty() ? "" : ", ", quoted_text(key), nested_text(item));
      }
      return fmt::format("{{{}}}", text);
    }
  }
  return {};
}

}  // namespace attnlab::config
