#include "experiments/config/override.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "experiments/config/emit_yaml.h"
#include "experiments/config/value_parser.h"
#include "kernels/core/error.h"

namespace attnlab::config {
namespace {

bool letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

/// A letter, `_` or one of `special`, then also digits and `-`.
bool is_name(std::string_view text, std::string_view special) {
  const auto starts = [&](char c) {
    return letter(c) || c == '_' || special.find(c) != std::string_view::npos;
  };
  return !text.empty() && starts(text[0]) && std::all_of(text.begin(), text.end(), [&](char c) {
    return starts(c) || digit(c) || c == '-';
  });
}

/// "a.b.0": names, and numbers where there is a dot.
bool is_package(const std::string& text) {
  const std::vector<std::string> parts = split_path(text);
  return !parts.empty() && std::all_of(parts.begin(), parts.end(), [&](const std::string& part) {
    const bool number = !part.empty() && std::all_of(part.begin(), part.end(), digit) &&
                        (part == "0" || part[0] != '0');
    return is_name(part, "$") || (number && parts.size() > 1);
  });
}

bool is_key(const std::string& text) {
  if (text.find('/') == std::string::npos) return is_package(text);
  std::size_t begin = 0;
  while (true) {
    const std::size_t slash = text.find('/', begin);
    if (!is_name(std::string_view(text).substr(begin, slash - begin), "")) return false;
    if (slash == std::string::npos) return true;
    begin = slash + 1;
  }
}

/// Splits "+group/sub@pkg" into sign, key and package, and checks the characters.
void parse_key(std::string_view text, Override& result) {
  const auto fail = [&](const std::string& message) {
    throw ConfigError(fmt::format("[config] {}: {}", result.position.to_string(), message));
  };
  if (text.starts_with("++")) {
    result.kind = Override::Kind::kForce;
    text.remove_prefix(2);
  } else if (text.starts_with("+") || text.starts_with("~")) {
    result.kind = text[0] == '+' ? Override::Kind::kAppend : Override::Kind::kDelete;
    text.remove_prefix(1);
  }
  const std::size_t at = text.find('@');
  result.key = std::string(text.substr(0, at));
  if (at != std::string_view::npos) result.package = std::string(text.substr(at + 1));
  if (result.key.empty()) fail("the key is missing; write key=value");
  if (text.size() > kMaxKeyBytes) {
    fail(fmt::format("a key of {} bytes; at most {} are allowed", text.size(), kMaxKeyBytes));
  }
  if (!is_key(result.key) || (at != std::string_view::npos && !is_package(result.package))) {
    fail(fmt::format(
        "'{}' is no key; write a.b.c, group/sub or group@package: letters, digits, _ - $", text));
  }
  if (split_path(result.key).size() >= kMaxDepth) {
    fail(fmt::format("a key of more than {} parts", kMaxDepth - 1));
  }
}

}  // namespace

Override Override::with_value(const Tree& value) const {
  Override result = *this;
  result.values = {value};
  result.is_sweep = false;
  result.glob.reset();
  const char* sign = kind == Kind::kAppend ? "+" : kind == Kind::kForce ? "++" : "";
  result.text = sign + target() + "=" + override_text(value);
  return result;
}

Override parse_override(std::string_view text) {
  Override result;
  result.text = std::string(text);
  constexpr std::size_t kShown = 200;
  const std::string shown =
      text.size() <= kShown ? result.text : result.text.substr(0, kShown) + "...";
  result.position.source = std::make_shared<const std::string>("override '" + shown + "'");
  const std::size_t equals = text.find('=');
  parse_key(text.substr(0, equals), result);
  if (equals == std::string_view::npos) {
    if (result.kind != Override::Kind::kDelete) {
      throw ConfigError(
          fmt::format("[config] {}: '=' is missing; write key=value", result.position.to_string()));
    }
    return result;
  }
  ParsedValues parsed = parse_values(text, equals + 1, result.position);
  result.values = std::move(parsed.values);
  result.is_sweep = parsed.is_sweep;
  result.glob = std::move(parsed.glob);
  result.extends = parsed.extends;
  if (result.is_sweep && result.kind == Override::Kind::kDelete) {
    throw ConfigError(
        fmt::format("[config] {}: a deletion cannot be swept", result.position.to_string()));
  }
  return result;
}

Override override_of_sweep(const std::string& key, const Tree& value) {
  Override result;
  result.position = value.position();
  parse_key(key, result);
  const auto fail = [&](const std::string& message) {
    throw ConfigError(
        fmt::format("[config] {}: sweep of '{}': {}", result.position.to_string(), key, message));
  };
  if (result.kind == Override::Kind::kDelete) fail("a deletion cannot be swept");
  result.is_sweep = true;
  if (value.is_list()) {
    result.values = value.items();
  } else if (value.is_string()) {
    ParsedValues parsed = parse_values(value.as_string(), 0, value.position());
    if (parsed.extends) fail("extend_list() cannot be swept");
    result.values = std::move(parsed.values);
    result.glob = std::move(parsed.glob);
  } else if (value.is_map()) {
    fail(
        "expected a list of values, found a map; write the full key, e.g. shape.seqlen: [128, "
        "256]");
  } else {
    result.values = {value};
  }
  if (result.values.empty() && !result.glob)
    fail("the list is empty, so there would be nothing to run");
  return result;
}

}  // namespace attnlab::config
