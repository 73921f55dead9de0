#include "experiments/config/emit_yaml.h"

#include <fmt/format.h>

#include <cmath>

#include "experiments/config/scalar.h"
#include "kernels/core/error.h"

namespace attnlab::config {
namespace {

/// Characters that the single-quoted and plain styles cannot hold, or that some reader takes for a
/// line break: controls, U+0085, U+2028, U+2029 and the byte order mark.
bool needs_escapes(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return true;
  }
  for (const char* special : {"\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xEF\xBB\xBF"}) {
    if (text.find(special) != std::string::npos) return true;
  }
  return false;
}

/// True if `text` may stand without quotes: it then reads back as this string.
bool plain(const std::string& text) {
  if (text.empty() || text == "<<" || text == "=") return false;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@` \t").find(text.front()) != std::string_view::npos) {
    return false;
  }
  if (text.back() == ' ' || text.back() == ':' || text.back() == '\t') return false;
  for (const char* sign : {": ", ":\t", " #", "\t#"}) {
    if (text.find(sign) != std::string::npos) return false;
  }
  if (text.starts_with("---") || text.starts_with("...")) return false;
  // Long digit strings would overflow the resolver; quoting them is the answer anyway.
  if (text.find_first_not_of("+-0123456789_:abcdefxABCDEF") == std::string::npos &&
      text.find_first_of("0123456789") != std::string::npos) {
    return false;
  }
  return resolve_yaml_scalar(text, {}).is_string();
}

std::string escaped(const std::string& text) {
  std::string result = "\"";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::string_view rest = std::string_view(text).substr(i);
    if (byte == '"' || byte == '\\') {
      result += {'\\', static_cast<char>(byte)};
    } else if (byte == '\n') {
      result += "\\n";
    } else if (byte == '\t') {
      result += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      result += fmt::format("\\x{:02x}", byte);
    } else if (rest.starts_with("\xC2\x85")) {
      result += "\\x85";
      i += 1;
    } else if (rest.starts_with("\xE2\x80\xA8") || rest.starts_with("\xE2\x80\xA9")) {
      result += static_cast<unsigned char>(text[i + 2]) == 0xA8 ? "\\u2028" : "\\u2029";
      i += 2;
    } else if (rest.starts_with("\xEF\xBB\xBF")) {
      result += "\\ufeff";
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result + "\"";
}

std::string yaml_string(const std::string& text) {
  if (needs_escapes(text)) return escaped(text);
  if (plain(text)) return text;
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? "''" : std::string(1, c);
  return result + "'";
}

std::string yaml_scalar(const Tree& tree) {
  switch (tree.kind()) {
    case Tree::Kind::kMissing: return "???";
    case Tree::Kind::kNull: return "null";
    case Tree::Kind::kBool: return tree.as_bool() ? "true" : "false";
    case Tree::Kind::kInt: return std::to_string(tree.as_int());
    case Tree::Kind::kFloat: {
      const std::string text = float_text(tree.as_float());
      if (std::isfinite(tree.as_float())) return text;
      return text[0] == '-' ? fmt::format("-.{}", text.substr(1)) : fmt::format(".{}", text);
    }
    case Tree::Kind::kString: return yaml_string(tree.as_string());
    case Tree::Kind::kList: return "[]";
    case Tree::Kind::kMap: return "{}";
  }
  return {};
}

bool nested(const Tree& tree) {
  return (tree.is_list() && !tree.items().empty()) || (tree.is_map() && !tree.entries().empty());
}

/// Longer keys need a "?" in front (YAML 1.2, 7.4.2: at most 1024 characters, quotes and escapes
/// included).
constexpr std::size_t kMaxImplicitKey = 1000;

/// Writes a list or map with content; the cursor stands at `indent` already on its first line.
void emit_block(const Tree& tree, std::size_t indent, std::string& out) {
  const std::string margin(indent, ' ');
  bool first = true;
  const auto start_line = [&] {
    if (!first) out += margin;
    first = false;
  };
  if (tree.is_list()) {
    for (const Tree& item : tree.items()) {
      start_line();
      out += "- ";
      if (nested(item)) {
        emit_block(item, indent + 2, out);
      } else {
        out += fmt::format("{}\n", yaml_scalar(item));
      }
    }
    return;
  }
  for (const auto& [key, value] : tree.entries()) {
    start_line();
    const std::string text = yaml_string(key);
    const bool is_long = text.size() > kMaxImplicitKey;
    out += is_long ? fmt::format("? {}\n{}:", text, margin) : text + ":";
    if (!nested(value)) {
      out += fmt::format(" {}\n", yaml_scalar(value));
      continue;
    }
    // Lists stand at the margin of their key, as PyYAML writes them.
    const std::size_t inner = value.is_list() && !is_long ? indent : indent + 2;
    out += fmt::format("\n{:{}}", "", inner);
    emit_block(value, inner, out);
  }
}

/// True if the word stands for itself in an override, quoted or not.
bool plain_override(const std::string& text) {
  const auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./+@%*?|").find(c) != std::string_view::npos;
  };
  for (const char c : text) {
    if (!word(c)) return false;
  }
  return !text.empty() && text != "???" && resolve_override_scalar(text, {}).is_string();
}

std::string quoted_override(const std::string& text) {
  std::string result = "'";
  std::size_t backslashes = 0;
  for (const char c : text) {
    // Backslashes count only in front of a quote: there each is doubled.
    if (c == '\'') result += std::string(backslashes, '\\') + "\\";
    backslashes = c == '\\' ? backslashes + 1 : 0;
    result += c;
  }
  return result + std::string(backslashes, '\\') + "'";
}

}  // namespace

std::string emit_yaml(const Tree& tree) {
  if (!nested(tree)) return yaml_scalar(tree) + "\n";
  std::string out;
  emit_block(tree, 0, out);
  return out;
}

std::string override_text(const Tree& tree) {
  switch (tree.kind()) {
    case Tree::Kind::kString: {
      const std::string& text = tree.as_string();
      const bool long_number = text.find_first_not_of("+-0123456789_") == std::string::npos;
      return !long_number && plain_override(text) ? text : quoted_override(text);
    }
    case Tree::Kind::kFloat: return float_text(tree.as_float());
    case Tree::Kind::kList: {
      std::string text;
      for (const Tree& item : tree.items()) {
        text += fmt::format("{}{}", text.empty() ? "" : ",", override_text(item));
      }
      return fmt::format("[{}]", text);
    }
    case Tree::Kind::kMap: {
      std::string text;
      for (const auto& [key, value] : tree.entries()) {
        text += fmt::format("{}{}: {}", text.empty() ? "" : ",",
                            override_text(Tree::of_string(key)), override_text(value));
      }
      return fmt::format("{{{}}}", text);
    }
    default: return yaml_scalar(tree);
  }
}

}  // namespace attnlab::config
