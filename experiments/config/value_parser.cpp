#include "experiments/config/value_parser.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "experiments/config/scalar.h"
#include "experiments/config/value_element.h"
#include "experiments/config/value_functions.h"
#include "experiments/config/value_tokens.h"
#include "kernels/core/error.h"

namespace attnlab::config {
namespace {

using Kind = ValueToken::Kind;

/// 'text' or "text" without its quotes. A backslash counts only in runs before a quote: \' is a
/// quote, \\ a backslash; elsewhere it stands for itself.
std::string unquoted(std::string_view text) {
  const char quote = text.front();
  const std::string_view body = text.substr(1, text.size() - 2);
  std::string result;
  for (std::size_t i = 0; i < body.size();) {
    std::size_t run = i;
    while (run < body.size() && body[run] == '\\') ++run;
    const bool before_quote = run == body.size() || body[run] == quote;
    result.append(before_quote ? (run - i) / 2 : run - i, '\\');
    if (run < body.size()) result += body[run];
    i = run + 1;
  }
  return result;
}

std::string unescaped(const ValueToken& token) {
  if (token.kind != Kind::kEscaped) return std::string(token.text);
  std::string result;
  for (std::size_t i = 1; i < token.text.size(); i += 2) result += token.text[i];
  return result;
}

/// Recursive descent over the tokens of one value. Nesting is limited, so recursion is.
class ValueParser {
 public:
  ValueParser(std::string_view text, std::size_t begin, const Position& position)
      : text_(text),
        begin_(begin),
        tokens_(cut_value(text, begin, position)),
        position_(position) {}

  Element parse() {
    if (peek().kind == Kind::kEnd) return Element::of(Tree::of_string(""));
    std::vector<Element> elements = {parse_element()};
    while (peek().kind == Kind::kComma) {
      take();
      elements.push_back(parse_element());
    }
    if (peek().kind != Kind::kEnd) fail_unexpected("',' or the end");
    if (elements.size() == 1) return elements.front();
    Element sweep = Element::of_items(Element::Kind::kChoice, std::move(elements));
    sweep.simple = true;
    return sweep;
  }

 private:
  const ValueToken& peek() const { return tokens_[at_]; }
  const ValueToken& take() { return tokens_[at_++]; }

  [[noreturn]] void fail(std::size_t place, const std::string& message) const {
    throw ConfigError(
        fmt::format("[config] {}: at character {}: {}", position_.to_string(), place + 1, message));
  }

  [[noreturn]] void fail_unexpected(const char* wanted) const {
    const ValueToken& token = peek();
    if (token.kind == Kind::kEnd) {
      fail(token.place, fmt::format("expected {}, but the text ends", wanted));
    }
    fail(token.place,
         fmt::format("expected {}, found '{}'; text with such signs must be in quotes{}", wanted,
                     token.text, in_quotes()));
  }

  /// ": \"run.dir='a=b'\"", the whole override with its value in quotes; "" where the value has
  /// quotes or brackets, which may be meant.
  std::string in_quotes() const {
    const std::string_view value = text_.substr(begin_);
    if (begin_ == 0 || value.empty() || value.find_first_of("'\"[]{}(),$") != value.npos) return {};
    return fmt::format(": \"{}'{}'\"", text_.substr(0, begin_), value);
  }

  void expect(Kind kind, const char* wanted) {
    if (peek().kind != kind) fail_unexpected(wanted);
    take();
  }

  Element parse_element() {
    if (++depth_ >= kMaxDepth)
      fail(peek().place, fmt::format("nested deeper than {} levels", kMaxDepth));
    Element element = parse_unlimited();
    --depth_;
    return element;
  }

  Element parse_unlimited() {
    switch (peek().kind) {
      case Kind::kQuoted: return parse_quoted();
      case Kind::kOpenBracket: return parse_list();
      case Kind::kOpenBrace: return parse_dict();
      case Kind::kWord:
        if (tokens_[at_ + 1].kind == Kind::kOpenParen) return parse_call();
        break;
      default: break;
    }
    return Element::of(parse_words(true));
  }

  Element parse_quoted() {
    if (peek().text.size() > kMaxStringBytes + 2) {
      fail(peek().place, fmt::format("a text of more than {} bytes", kMaxStringBytes));
    }
    return Element::quoted(unquoted(take().text));
  }

  Element parse_list() {
    take();
    std::vector<Element> items;
    while (peek().kind != Kind::kCloseBracket) {
      if (!items.empty()) expect(Kind::kComma, "',' or ']'");
      items.push_back(parse_element());
      check_count(items.size());
    }
    take();
    return Element::of_items(Element::Kind::kList, std::move(items));
  }

  /// Of a key that appears twice, the last value counts.
  Element parse_dict() {
    take();
    Element dict = Element::of_items(Element::Kind::kDict, {});
    while (peek().kind != Kind::kCloseBrace) {
      if (!dict.items.empty()) expect(Kind::kComma, "',' or '}'");
      const std::size_t place = peek().place;
      // Hydra takes no quotes here; ours write keys with any signs back as overrides.
      const bool quoted = peek().kind == Kind::kQuoted;
      const Tree key = quoted ? Tree::of_string(unquoted(take().text)) : parse_words(false);
      if (!key.is_string()) {
        fail(place,
             fmt::format("a key must be a string, and this one reads as {}; write the key in "
                         "a config file, in quotes",
                         key.kind_name()));
      }
      if (key.as_string().size() > kMaxKeyBytes) {
        fail(place, fmt::format("a key of more than {} bytes", kMaxKeyBytes));
      }
      if (peek().kind == Kind::kEqual) {
        fail(peek().place, "inside {} a key and its value are separated by ':', as in {a:1,b:2}");
      }
      expect(Kind::kColon, "':' and a value after a key");
      Element value = parse_element();
      const auto same = std::find(dict.keys.begin(), dict.keys.end(), key.as_string());
      if (same != dict.keys.end()) {
        dict.items[static_cast<std::size_t>(same - dict.keys.begin())] = std::move(value);
      } else {
        dict.keys.push_back(key.as_string());
        dict.items.push_back(std::move(value));
      }
      check_count(dict.items.size());
    }
    take();
    return dict;
  }

  Element parse_call() {
    const ValueToken& name = take();
    take();
    std::vector<Argument> arguments;
    while (peek().kind != Kind::kCloseParen) {
      if (!arguments.empty()) expect(Kind::kComma, "',' or ')'");
      Argument argument;
      if (peek().kind == Kind::kWord && tokens_[at_ + 1].kind == Kind::kEqual) {
        argument.name = std::string(take().text);
        take();
      }
      argument.value = parse_element();
      arguments.push_back(std::move(argument));
      check_count(arguments.size());
    }
    take();
    try {
      return call_function(std::string(name.text), arguments);
    } catch (const ConfigError& error) {
      fail(name.place, error.what());
    }
  }

  /// One token is a number, bool or null if it reads as one; several are text as they stand.
  Tree parse_words(bool is_value) {
    const std::size_t place = peek().place;
    std::vector<const ValueToken*> words;
    while (is_word(peek().kind, is_value)) words.push_back(&take());
    if (!words.empty() && words.back()->kind == Kind::kSpace) words.pop_back();
    if (!words.empty() && words.front()->kind == Kind::kSpace) words.erase(words.begin());
    if (words.empty()) {
      if (peek().kind == Kind::kEnd || peek().kind == Kind::kComma) {
        fail(place, "a value is missing here; leave the comma out, or write '' for an empty text");
      }
      fail_unexpected(is_value ? "a value" : "a key");
    }
    if (peek().place - place > kMaxStringBytes) {
      fail(place, fmt::format("a text of more than {} bytes", kMaxStringBytes));
    }
    const bool typed =
        words.size() == 1 && (words[0]->kind == Kind::kNumber || words[0]->kind == Kind::kWord);
    if (typed) return resolve_override_scalar(words[0]->text, position_);
    std::string text;
    for (const ValueToken* word : words) text += unescaped(*word);
    return Tree::of_string(text, position_);
  }

  static bool is_word(Kind kind, bool is_value) {
    if (kind == Kind::kColon || kind == Kind::kInterpolation) return is_value;
    return kind == Kind::kNumber || kind == Kind::kWord || kind == Kind::kSign ||
           kind == Kind::kEscaped || kind == Kind::kSpace;
  }

  void check_count(std::size_t count) const {
    if (count > kMaxSweepValues) fail(peek().place, "too many values");
  }

  std::string_view text_;
  std::size_t begin_;  ///< where the value starts in the text
  std::vector<ValueToken> tokens_;
  const Position& position_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
};

/// `reread`: text without quotes becomes what it reads as, since Hydra hands the values of a sweep
/// on as text: choice('1') gives the int 1.
Tree to_tree(const Element& element, bool reread, const Position& position) {
  switch (element.kind) {
    case Element::Kind::kScalar:
      if (reread && element.scalar.is_string()) {
        return resolve_override_scalar(element.scalar.as_string(), position);
      }
      break;
    case Element::Kind::kQuoted: break;
    case Element::Kind::kList: {
      std::vector<Tree> items;
      for (const Element& item : element.items) items.push_back(to_tree(item, reread, position));
      return Tree::of_list(std::move(items), position);
    }
    case Element::Kind::kDict: {
      std::vector<Tree::Entry> entries;
      for (std::size_t i = 0; i < element.items.size(); ++i) {
        entries.emplace_back(element.keys[i], to_tree(element.items[i], reread, position));
      }
      return Tree::of_map(std::move(entries), position);
    }
    case Element::Kind::kExtendList:
      throw ConfigError(
          fmt::format("[config] {}: extend_list() cannot stand inside another value or a sweep",
                      position.to_string()));
    default:
      throw ConfigError(
          fmt::format("[config] {}: a sweep cannot stand inside another value; sweep over "
                      "whole values: key=choice([1,2],[3])",
                      position.to_string()));
  }
  if (element.scalar.is_string() && element.scalar.as_string() == "???") {
    return Tree::missing(position);
  }
  return element.scalar.at(position);
}

std::vector<Element> values_of(const Element& sweep, std::string_view text,
                               const Position& position) {
  try {
    return sweep_values(sweep, text);
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("[config] {}: {}", position.to_string(), error.what()));
  }
}

std::vector<std::string> patterns(const Element& list) {
  std::vector<std::string> result;
  for (const Element& item : list.items) result.push_back(item.scalar.as_string());
  return result;
}

}  // namespace

std::vector<std::string> Glob::filter(const std::vector<std::string>& names) const {
  const auto matches = [](const std::vector<std::string>& all, const std::string& name) {
    return std::any_of(all.begin(), all.end(), [&](const std::string& pattern) {
      return ::fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
    });
  };
  std::vector<std::string> result;
  for (const std::string& name : names) {
    if (matches(include, name) && !matches(exclude, name)) result.push_back(name);
  }
  return result;
}

ParsedValues parse_values(std::string_view text, std::size_t begin, const Position& position) {
  // Blanks behind the `=` belong to it.
  begin = std::min(text.find_first_not_of(" \t", begin), text.size());
  const Element element = ValueParser(text, begin, position).parse();
  ParsedValues result;
  if (element.kind == Element::Kind::kGlob) {
    result.is_sweep = true;
    result.glob = Glob{patterns(element.items[0]), patterns(element.items[1])};
  } else if (element.is_sweep()) {
    result.is_sweep = true;
    for (const Element& value : values_of(element, text, position)) {
      result.values.push_back(to_tree(value, true, position));
    }
  } else if (element.kind == Element::Kind::kExtendList) {
    result.extends = true;
    result.values.push_back(
        to_tree(Element::of_items(Element::Kind::kList, element.items), false, position));
  } else {
    result.values.push_back(to_tree(element, false, position));
  }
  return result;
}

}  // namespace attnlab::config
