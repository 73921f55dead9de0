#include "experiments/config/value_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "kernels/core/error.h"

namespace attnlab::config {
namespace {

using Kind = ValueToken::Kind;

bool blank(char c) { return c == ' ' || c == '\t'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
/// Letters, and all of UTF-8 outside ASCII, which Hydra wants in quotes.
bool letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

constexpr std::string_view kEscapable = "\\()[]{}:=, \t";
constexpr std::string_view kSigns = "/-\\+.$%*@?|";

class Cutter {
 public:
  Cutter(std::string_view text, std::size_t begin, const Position& position)
      : text_(text), begin_(begin), at_(begin), position_(position) {}

  std::vector<ValueToken> run() {
    std::vector<ValueToken> tokens;
    while (at_ < text_.size()) tokens.push_back(next());
    tokens.push_back({Kind::kEnd, {}, text_.size()});
    return tokens;
  }

 private:
  char peek(std::size_t place) const { return place < text_.size() ? text_[place] : '\0'; }

  [[noreturn]] void fail(std::size_t place, const std::string& message) const {
    throw ConfigError(
        fmt::format("[config] {}: at character {}: {}", position_.to_string(), place + 1, message));
  }

  ValueToken token(Kind kind, std::size_t end) {
    const ValueToken result{kind, text_.substr(at_, end - at_), at_};
    at_ = end;
    return result;
  }

  std::size_t after_blanks(std::size_t place) const {
    while (blank(peek(place))) ++place;
    return place;
  }

  ValueToken next() {
    const std::size_t sign = after_blanks(at_);
    const std::size_t behind = after_blanks(sign + 1);
    switch (peek(sign)) {
      case '(': return token(Kind::kOpenParen, behind);
      case ',': return token(Kind::kComma, behind);
      case ':': return token(Kind::kColon, behind);
      case '=': return token(Kind::kEqual, behind);
      case ')': return token(Kind::kCloseParen, sign + 1);
      case ']': return token(Kind::kCloseBracket, sign + 1);
      case '}': return token(Kind::kCloseBrace, sign + 1);
      default: break;
    }
    if (sign > at_) return token(Kind::kSpace, sign);
    const char c = text_[at_];
    if (c == '[') return token(Kind::kOpenBracket, behind);
    if (c == '{') return token(Kind::kOpenBrace, behind);
    if (c == '\'' || c == '"') return token(Kind::kQuoted, quoted_end());
    if (c == '$' && peek(at_ + 1) == '{') return token(Kind::kInterpolation, interpolation_end());
    if (const std::size_t end = number_end(); end > at_) return token(Kind::kNumber, end);
    if (letter(c)) {
      std::size_t end = at_ + 1;
      while (letter(peek(end)) || digit(peek(end)) || peek(end) == '-') ++end;
      return token(Kind::kWord, end);
    }
    if (escape_at(at_)) {
      std::size_t end = at_;
      while (escape_at(end)) end += 2;
      return token(Kind::kEscaped, end);
    }
    if (kSigns.find(c) != std::string_view::npos) return token(Kind::kSign, at_ + 1);
    const std::string_view value = text_.substr(begin_);
    const bool bare = begin_ > 0 && value.find_first_of("'\"[]{}(),$") == std::string_view::npos;
    fail(at_, fmt::format("'{}' must be in quotes: {}", c,
                          bare ? fmt::format("\"{}'{}'\"", text_.substr(0, begin_), value)
                               : fmt::format("'a{}b'", c)));
  }

  bool escape_at(std::size_t place) const {
    return peek(place) == '\\' && place + 1 < text_.size() &&
           kEscapable.find(text_[place + 1]) != std::string_view::npos;
  }

  /// Behind the quote that is preceded by an even number of backslashes.
  std::size_t quoted_end() const {
    std::size_t backslashes = 0;
    for (std::size_t i = at_ + 1; i < text_.size(); ++i) {
      if (text_[i] == text_[at_] && backslashes % 2 == 0) return i + 1;
      backslashes = text_[i] == '\\' ? backslashes + 1 : 0;
    }
    fail(at_, fmt::format("the closing {} is missing", text_[at_]));
  }

  /// Hydra stops at the first brace; here nested ones count, as they do in files.
  std::size_t interpolation_end() const {
    std::size_t depth = 0;
    for (std::size_t i = at_ + 1; i < text_.size(); ++i) {
      if (text_[i] == '{') ++depth;
      if (text_[i] == '}' && --depth == 0) return i + 1;
    }
    fail(at_, "the closing '}' of ${ is missing");
  }

  /// Digits with single underscores between them, from `place` on; no leading zero where `integer`.
  std::size_t digits_end(std::size_t place, bool integer) const {
    if (!digit(peek(place))) return place;
    if (integer && text_[place] == '0') return place + 1;
    ++place;
    while (digit(peek(place)) || (peek(place) == '_' && digit(peek(place + 1)))) ++place;
    return place;
  }

  bool is_word(std::size_t place, std::string_view word) const {
    return place + word.size() <= text_.size() &&
           std::equal(
               word.begin(), word.end(), text_.begin() + static_cast<std::ptrdiff_t>(place),
               [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
  }

  /// The end of the number that starts here; `at_` where there is none, or where a longer name
  /// does.
  std::size_t number_end() const {
    const std::size_t start = at_ + (text_[at_] == '+' || text_[at_] == '-' ? 1 : 0);
    if (is_word(start, "inf") || is_word(start, "nan")) {
      const char follows = peek(start + 3);
      const bool longer = start == at_ && (letter(follows) || digit(follows) || follows == '-');
      return longer ? at_ : start + 3;
    }
    std::size_t end = digits_end(start, true);
    const bool whole = end > start;
    if (peek(end) == '.') {
      const std::size_t fraction = digits_end(end + 1, false);
      if (whole || fraction > end + 1) end = fraction;
    }
    if (end == start) return at_;
    if (peek(end) == 'e' || peek(end) == 'E') {
      const std::size_t power = end + 1 + (peek(end + 1) == '+' || peek(end + 1) == '-' ? 1 : 0);
      end = std::max(end, digits_end(power, false) > power ? digits_end(power, false) : end);
    }
    return end;
  }

  std::string_view text_;
  std::size_t begin_;  ///< where the value starts
  std::size_t at_;
  const Position& position_;
};

}  // namespace

std::vector<ValueToken> cut_value(std::string_view text, std::size_t begin,
                                  const Position& position) {
  return Cutter(text, begin, position).run();
}

}  // namespace attnlab::config
