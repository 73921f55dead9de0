#include "experiments/config/interpolation_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "experiments/config/scalar.h"
#include "experiments/config/value_tokens.h"
#include "kernels/core/error.h"

namespace attnlab::config {
namespace {

using Kind = ValueToken::Kind;

constexpr std::size_t kMaxNesting = 32;

bool blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

Expression literal(Tree value) {
  Expression result;
  result.literal = std::move(value);
  return result;
}

Expression composite(Expression::Kind kind, std::vector<Expression> parts) {
  Expression result;
  result.kind = kind;
  result.parts = std::move(parts);
  return result;
}

class Parser {
 public:
  explicit Parser(const Position& position) : position_(position) {}

  /// A text of a file, or between quotes: there the result is text in any case.
  Expression text(std::string_view text, bool is_quoted) {
    const Nesting nesting(*this);
    std::vector<Expression> parts;
    std::string plain;
    std::size_t from = 0;
    while (true) {
      const std::size_t open = text.find("${", from);
      if (open == std::string_view::npos) break;
      std::size_t backslashes = 0;
      while (open - backslashes > from && text[open - backslashes - 1] == '\\') ++backslashes;
      plain += text.substr(from, open - backslashes - from);
      plain.append(backslashes / 2, '\\');
      if (backslashes % 2 == 1) {
        plain += "${";
        from = open + 2;
        continue;
      }
      if (!plain.empty()) parts.push_back(literal(Tree::of_string(plain, position_)));
      plain.clear();
      const std::size_t close = closing_brace(text, open);
      parts.push_back(interpolation(text.substr(open + 2, close - open - 2)));
      from = close + 1;
    }
    plain += text.substr(from);
    if (parts.empty()) return literal(Tree::of_string(plain, position_));
    if (!plain.empty()) parts.push_back(literal(Tree::of_string(plain, position_)));
    if (parts.size() == 1 && !is_quoted) return parts.front();
    return composite(Expression::Kind::kText, std::move(parts));
  }

  Expression argument(std::string_view text) {
    const Tokens saved = cut(text);
    Expression result = element();
    if (peek().kind != Kind::kEnd) fail_unexpected();
    tokens_ = saved;
    return result;
  }

 private:
  struct Tokens {
    std::vector<ValueToken> all;
    std::size_t at = 0;
  };

  /// One level of nesting, as long as it lives.
  class Nesting {
   public:
    explicit Nesting(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > 2 * kMaxNesting) {
        parser_.fail(fmt::format("interpolations are nested more than {} deep", kMaxNesting));
      }
    }
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Parser& parser_;
  };

  [[noreturn]] void fail(const std::string& message) const {
    throw ConfigError(fmt::format("[config] {}: {}", position_.to_string(), message));
  }

  /// Place of the brace that closes `${` at `open`; braces in quoted arguments do not count.
  std::size_t closing_brace(std::string_view text, std::size_t open) const {
    std::size_t depth = 0;
    bool in_arguments = false;
    char quote = '\0';
    for (std::size_t i = open + 1; i < text.size(); ++i) {
      const char c = text[i];
      if (quote != '\0') {
        if (c == '\\' && i + 1 < text.size() && (text[i + 1] == quote || text[i + 1] == '\\')) ++i;
        if (c == quote) quote = '\0';
      } else if (in_arguments && (c == '\'' || c == '"')) {
        quote = c;
      } else if (c == ':') {
        in_arguments = true;
      } else if (c == '\\' && in_arguments) {
        ++i;
      } else if (c == '{') {
        ++depth;
      } else if (c == '}' && --depth == 0) {
        return i;
      }
    }
    fail(fmt::format("the closing '}}' of '{}' is missing", text.substr(open)));
  }

  /// What stands between ${ and }.
  Expression interpolation(std::string_view body) {
    const Nesting nesting(*this);
    Expression result;
    result.source = fmt::format("${{{}}}", body);
    const std::size_t colon = top_level_colon(body);
    if (colon == std::string_view::npos) {
      result.kind = Expression::Kind::kReference;
      reference(trimmed(body), result);
      return result;
    }
    result.kind = Expression::Kind::kCall;
    std::string_view name = trimmed(body.substr(0, colon));
    while (true) {
      result.name.push_back(key(name, result.source));
      if (name.empty()) break;
      if (name.front() != '.') fail(fmt::format("'{}' is no name of a resolver", result.source));
      name = trimmed(name.substr(1));
    }
    result.parts = arguments(body.substr(colon + 1));
    return result;
  }

  static std::size_t top_level_colon(std::string_view body) {
    std::size_t depth = 0;
    for (std::size_t i = 0; i < body.size(); ++i) {
      if (body[i] == '{') ++depth;
      if (body[i] == '}' && depth > 0) --depth;
      if (body[i] == ':' && depth == 0) return i;
    }
    return std::string_view::npos;
  }

  /// One key at the start of `text`, which loses it: a name, or an interpolation that gives one.
  Expression key(std::string_view& text, const std::string& source) {
    if (text.starts_with("${")) {
      const std::size_t close = closing_brace(text, 0);
      Expression result = interpolation(text.substr(2, close - 2));
      text = trimmed(text.substr(close + 1));
      return result;
    }
    constexpr std::string_view kSpecial = "\\{}()[]:. \t'\"";
    const std::size_t end = std::min(text.find_first_of(kSpecial), text.size());
    if (end == 0) {
      fail(
          fmt::format("'{}' is no reference; write ${{a.b}}, ${{.a}} or ${{oc.env:NAME}}", source));
    }
    Expression result = literal(Tree::of_string(std::string(text.substr(0, end)), position_));
    text.remove_prefix(end);
    text = trimmed(text);
    return result;
  }

  /// "a.b", "..a[0]", "[a].b".
  void reference(std::string_view text, Expression& result) {
    while (!text.empty() && text.front() == '.') {
      ++result.dots;
      text = trimmed(text.substr(1));
    }
    bool first = true;
    do {
      const bool bracket = !text.empty() && text.front() == '[';
      if (!bracket && !first) {
        if (text.front() != '.') {
          fail(
              fmt::format("'{}' is no reference; a key has no blanks and signs in it, and nothing "
                          "is computed here",
                          result.source));
        }
        text = trimmed(text.substr(1));
      }
      if (bracket) text = trimmed(text.substr(1));
      result.parts.push_back(key(text, result.source));
      if (bracket) {
        if (text.empty() || text.front() != ']') {
          fail(fmt::format("the closing ']' in '{}' is missing", result.source));
        }
        text = trimmed(text.substr(1));
      }
      first = false;
    } while (!text.empty());
  }

  /// Cuts a new text; returns the tokens that were being read.
  Tokens cut(std::string_view text) {
    Tokens saved = std::move(tokens_);
    cut_text_ = std::string(trimmed(text));
    tokens_ = {cut_value(trimmed(text), 0, position_), 0};
    return saved;
  }

  std::vector<Expression> arguments(std::string_view text) {
    Tokens saved = cut(text);
    std::vector<Expression> result = sequence(Kind::kEnd);
    tokens_ = std::move(saved);
    return result;
  }

  const ValueToken& peek() const { return tokens_.all[tokens_.at]; }
  const ValueToken& take() { return tokens_.all[tokens_.at++]; }

  [[noreturn]] void fail_unexpected() const {
    if (peek().kind == Kind::kEnd) {
      fail(fmt::format("'{}' ends too early: a closing bracket or a value is missing", cut_text_));
    }
    fail(
        fmt::format("unexpected '{}' in '{}', the arguments of an interpolation; put the text in "
                    "quotes",
                    peek().text, cut_text_));
  }

  /// Elements up to `end`; one that is left out is an empty text.
  std::vector<Expression> sequence(Kind end) {
    std::vector<Expression> result;
    if (peek().kind == end) {
      take();
      return result;
    }
    while (true) {
      const bool empty = peek().kind == Kind::kComma || peek().kind == end;
      result.push_back(empty ? literal(Tree::of_string("", position_)) : element());
      if (peek().kind == end) break;
      if (peek().kind != Kind::kComma) fail_unexpected();
      take();
    }
    take();
    return result;
  }

  Expression element() {
    const Nesting nesting(*this);
    switch (peek().kind) {
      case Kind::kQuoted: return quoted(take().text);
      case Kind::kOpenBracket:
        take();
        return composite(Expression::Kind::kList, sequence(Kind::kCloseBracket));
      case Kind::kOpenBrace: return dict();
      default: return words(true);
    }
  }

  Expression dict() {
    take();
    Expression result = composite(Expression::Kind::kDict, {});
    while (peek().kind != Kind::kCloseBrace) {
      if (!result.parts.empty()) {
        if (peek().kind != Kind::kComma) fail_unexpected();
        take();
      }
      const Expression name = words(false);
      if (!name.literal.is_string()) {
        fail(fmt::format("a key must be a string, and this one reads as {}",
                         name.literal.kind_name()));
      }
      if (peek().kind != Kind::kColon) fail_unexpected();
      take();
      Expression value = element();
      const auto same = std::find(result.keys.begin(), result.keys.end(), name.literal.as_string());
      if (same != result.keys.end()) {
        result.parts[static_cast<std::size_t>(same - result.keys.begin())] = std::move(value);
      } else {
        result.keys.push_back(name.literal.as_string());
        result.parts.push_back(std::move(value));
      }
    }
    take();
    return result;
  }

  Expression quoted(std::string_view token) {
    const char quote = token.front();
    const std::string_view body = token.substr(1, token.size() - 2);
    std::string result;
    for (std::size_t i = 0; i < body.size();) {
      std::size_t run = i;
      while (run < body.size() && body[run] == '\\') ++run;
      const bool before_quote = run == body.size() || body[run] == quote;
      result.append(before_quote ? (run - i) / 2 : run - i, '\\');
      if (run < body.size()) result += body[run];
      i = run + 1;
    }
    return text(result, true);
  }

  Expression words(bool is_value) {
    std::vector<Expression> parts;
    std::optional<ValueToken> only;
    for (; is_word(peek().kind, is_value); take()) {
      const ValueToken& token = peek();
      only = parts.empty() ? std::optional(token) : std::nullopt;
      if (token.kind == Kind::kInterpolation) {
        parts.push_back(interpolation_token(token.text));
        continue;
      }
      std::string word(token.text);
      if (token.kind == Kind::kEscaped) {
        word.clear();
        for (std::size_t i = 1; i < token.text.size(); i += 2) word += token.text[i];
      }
      parts.push_back(literal(Tree::of_string(word, position_)));
    }
    if (parts.empty()) fail_unexpected();
    if (only && (only->kind == Kind::kNumber || only->kind == Kind::kWord)) {
      return literal(resolve_override_scalar(only->text, position_));
    }
    if (parts.size() == 1) return parts.front();
    const bool plain = std::all_of(parts.begin(), parts.end(), [](const Expression& part) {
      return part.kind == Expression::Kind::kLiteral;
    });
    if (!plain) return composite(Expression::Kind::kText, std::move(parts));
    std::string joined;
    for (const Expression& part : parts) joined += part.literal.as_string();
    return literal(Tree::of_string(joined, position_));
  }

  Expression interpolation_token(std::string_view token) {
    return interpolation(token.substr(2, token.size() - 3));
  }

  static bool is_word(Kind kind, bool is_value) {
    if (kind == Kind::kColon || kind == Kind::kInterpolation) return is_value;
    return kind == Kind::kNumber || kind == Kind::kWord || kind == Kind::kSign ||
           kind == Kind::kEscaped || kind == Kind::kSpace;
  }

  const Position& position_;
  Tokens tokens_;
  std::string cut_text_;  ///< what was cut last, for messages
  std::size_t depth_ = 0;
};

}  // namespace

Expression parse_interpolated(std::string_view text, const Position& position) {
  return Parser(position).text(text, false);
}

Expression parse_argument(std::string_view text, const Position& position) {
  return Parser(position).argument(text);
}

}  // namespace attnlab::config
