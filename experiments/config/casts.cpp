#include "experiments/config/casts.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdint>

#include "experiments/config/scalar.h"
#include "kernels/core/error.h"

namespace attnlab::config {
namespace {

using Kind = Tree::Kind;

[[noreturn]] void fail(const std::string& message) { throw ConfigError(message); }

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\n\r\f\v");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\n\r\f\v") - begin + 1));
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

/// `text` without its underscores; nothing if one does not stand between two digits.
std::optional<std::string> without_underscores(const std::string& text) {
  const auto digit = [&](std::size_t i) {
    return i < text.size() && text[i] >= '0' && text[i] <= '9';
  };
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      result += text[i];
    } else if (i == 0 || !digit(i - 1) || !digit(i + 1)) {
      return {};
    }
  }
  return result;
}

Tree int_of_text(const std::string& text) {
  const auto digits = without_underscores(trimmed(text));
  if (!digits || digits->empty()) fail(fmt::format("'{}' is no integer", text));
  const char* begin = digits->data() + (digits->front() == '+' ? 1 : 0);
  const char* end = digits->data() + digits->size();
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (begin != digits->data() && begin != end && *begin == '-') {
    fail(fmt::format("'{}' is no integer", text));
  }
  if (error == std::errc::result_out_of_range) {
    fail(fmt::format("integer {} does not fit into 64 bits", text));
  }
  if (error != std::errc() || stop != end) fail(fmt::format("'{}' is no integer", text));
  return Tree::of_int(value);
}

Tree int_of_float(double value) {
  const double whole = std::trunc(value);
  if (!std::isfinite(whole)) fail(fmt::format("{} is no integer", float_text(value)));
  if (whole < -0x1p63 || whole >= 0x1p63) {
    fail(fmt::format("integer {} does not fit into 64 bits", float_text(value)));
  }
  return Tree::of_int(static_cast<std::int64_t>(whole));
}

Tree float_of_text(const std::string& text) {
  const auto number = without_underscores(trimmed(text));
  const std::string word = number ? lower(*number) : "";
  const std::string body =
      !word.empty() && (word[0] == '+' || word[0] == '-') ? word.substr(1) : word;
  const bool special = body == "inf" || body == "infinity" || body == "nan";
  const bool plain = body.find_first_not_of("0123456789.e+-") == std::string::npos;
  // strtod takes the longest number in front; all of the text must be one.
  char* end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  if (word.empty() || !(special || plain) || *end != '\0')
    fail(fmt::format("'{}' is no number", text));
  return Tree::of_float(value);
}

Tree bool_of_text(const std::string& text) {
  const std::string word = lower(text);
  if (word != "true" && word != "false") fail(fmt::format("'{}' is neither true nor false", text));
  return Tree::of_bool(word == "true");
}

}  // namespace

Tree cast_scalar(const std::string& name, const Tree& scalar) {
  // Python's bool() alone knows what to do with nothing.
  if (scalar.is_null()) {
    if (name == "bool") return Tree::of_bool(false);
    fail(fmt::format("{}() takes no null", name));
  }
  if (name == "str") {
    if (scalar.kind() == Kind::kBool) return Tree::of_string(scalar.as_bool() ? "true" : "false");
    return Tree::of_string(interpolated_text(scalar));
  }
  if (scalar.is_string()) {
    const std::string& text = scalar.as_string();
    return name == "int"     ? int_of_text(text)
           : name == "float" ? float_of_text(text)
                             : bool_of_text(text);
  }
  const bool is_float = scalar.kind() == Kind::kFloat;
  if (name == "bool") {
    return Tree::of_bool(is_float ? !(scalar.as_float() == 0) : as_number(scalar) != 0);
  }
  if (name == "float") return Tree::of_float(as_number(scalar));
  if (is_float) return int_of_float(scalar.as_float());
  return scalar.kind() == Kind::kBool ? Tree::of_int(scalar.as_bool()) : scalar;
}

double as_number(const Tree& scalar) {
  if (scalar.kind() == Kind::kBool) return scalar.as_bool() ? 1 : 0;
  if (scalar.kind() == Kind::kInt) return static_cast<double>(scalar.as_int());
  return scalar.as_float();
}

std::optional<double> finite_or_infinite(const Tree& scalar) {
  const Kind kind = scalar.kind();
  if (kind != Kind::kBool && kind != Kind::kInt && kind != Kind::kFloat) return {};
  const double value = as_number(scalar);
  return std::isnan(value) ? std::optional<double>() : value;
}

Tree sum(const Tree& a, const Tree& b) {
  if (a.kind() == Kind::kFloat || b.kind() == Kind::kFloat) {
    return Tree::of_float(as_number(a) + as_number(b));
  }
  std::int64_t result = 0;
  if (__builtin_add_overflow(a.as_int(), b.as_int(), &result)) {
    fail("the bounds of the range do not fit into 64 bits");
  }
  return Tree::of_int(result);
}

Tree negated(const Tree& scalar) {
  if (scalar.kind() == Kind::kFloat) return Tree::of_float(-scalar.as_float());
  std::int64_t result = 0;
  if (__builtin_sub_overflow(std::int64_t{0}, scalar.as_int(), &result)) {
    fail("the step of the range does not fit into 64 bits");
  }
  return Tree::of_int(result);
}

Tree magnitude(const Tree& scalar) { return as_number(scalar) < 0 ? negated(scalar) : scalar; }

std::vector<Tree> range_values(const Tree& start, const Tree& stop, const Tree& step,
                               std::size_t most) {
  const double first = as_number(start), last = as_number(stop), width = as_number(step);
  if (!std::isfinite(first) || !std::isfinite(last) || !std::isfinite(width) || width == 0) {
    fail("range() needs finite numbers and a step other than 0");
  }
  const auto add = [&](std::vector<Tree>& values, Tree value) {
    if (values.size() >= most) fail(fmt::format("range() of more than {} values", most));
    values.push_back(std::move(value));
  };
  std::vector<Tree> values;
  const auto is_int = [](const Tree& tree) { return tree.kind() == Kind::kInt; };
  if (is_int(start) && is_int(stop) && is_int(step)) {
    const std::int64_t end = stop.as_int(), by = step.as_int();
    for (std::int64_t x = start.as_int(); by > 0 ? x < end : x > end;) {
      add(values, Tree::of_int(x));
      if (__builtin_add_overflow(x, by, &x)) break;
    }
    return values;
  }
  for (std::size_t i = 0;; ++i) {
    // Not by adding up: the error of each sum would grow from value to value.
    const double x = std::fma(static_cast<double>(i), width, first);
    if (width > 0 ? x >= last : x <= last) return values;
    add(values, Tree::of_float(x));
  }
}

std::vector<Element> shuffled(std::vector<Element> items, std::string_view seed_text) {
  std::uint64_t state = 0xcbf29ce484222325u;  // FNV-1a of the text, then splitmix64.
  for (const char c : seed_text) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  const auto random = [&state] {
    state += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  };
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random() % i]);
  return items;
}

std::string json_text(const Element& element) {
  const auto text_of = [](const std::string& text) {
    std::string result = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') result += '\\';
      if (static_cast<unsigned char>(c) < 0x20) {
        result += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      } else {
        result += c;
      }
    }
    return result + "\"";
  };
  std::string text;
  const auto separate = [&text] { text += text.empty() ? "" : ", "; };
  switch (element.kind) {
    case Element::Kind::kQuoted: return text_of(element.scalar.as_string());
    case Element::Kind::kScalar:
      switch (element.scalar.kind()) {
        case Kind::kNull: return "null";
        case Kind::kBool: return element.scalar.as_bool() ? "true" : "false";
        case Kind::kString: return text_of(element.scalar.as_string());
        default: return interpolated_text(element.scalar);
      }
    case Element::Kind::kList:
      for (const Element& item : element.items) {
        separate();
        text += json_text(item);
      }
      return "[" + text + "]";
    case Element::Kind::kDict:
      for (std::size_t i = 0; i < element.items.size(); ++i) {
        separate();
        text += text_of(element.keys[i]) + ": " + json_text(element.items[i]);
      }
      return "{" + text + "}";
    default: fail("json_str() takes a value, not a sweep");
  }
}

}  // namespace attnlab::config
