#include "experiments/config/value_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <set>
#include <string>

#include "experiments/config/override.h"
#include "experiments/config/scalar.h"
#include "kernels/core/error.h"
#include "kernels/core/names.h"

namespace attnlab::config {
namespace {

bool space(char c) { return c == ' ' || c == '\t'; }

/// Recursive descent over the text of one value. Nesting is limited, so recursion is.
class ValueParser {
 public:
  /// `begin` is the place of the value in the whole override, for messages.
  ValueParser(std::string_view text, std::size_t begin, Position position)
      : text_(text), at_(begin), position_(std::move(position)) {}

  /// The whole value; `is_sweep` tells whether it was a sweep.
  std::vector<Tree> parse(bool& is_sweep) {
    skip_space();
    is_sweep = false;
    if (done()) return {Tree::of_string("", position_)};
    if (const auto function = function_name()) {
      is_sweep = true;
      std::vector<Tree> values = parse_function(*function);
      skip_space();
      if (!done()) fail("nothing may follow a function; to sweep over several, list the values");
      return values;
    }
    std::vector<Tree> values = {parse_element("")};
    while (!done()) {
      expect(',', "',' or the end");
      is_sweep = true;
      values.push_back(parse_element(""));
      if (values.size() > kMaxSweepValues) fail("too many values");
    }
    return values;
  }

 private:
  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }

  [[noreturn]] void fail(const std::string& message) const {
    throw ConfigError(
        fmt::format("[config] {}: at character {}: {}", position_.to_string(), at_ + 1, message));
  }

  void skip_space() {
    while (!done() && space(text_[at_])) ++at_;
  }

  void expect(char wanted, const char* description) {
    if (peek() != wanted) {
      fail(done() ? fmt::format("expected {}, but the text ends", description)
                  : fmt::format("expected {}, found '{}'", description, text_[at_]));
    }
    ++at_;
  }

  /// The name in front of a '(' that starts here.
  std::optional<std::string> function_name() const {
    std::size_t end = at_;
    while (end < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[end])) != 0 || text_[end] == '_')) {
      ++end;
    }
    if (end == at_ || end >= text_.size() || text_[end] != '(') return {};
    return std::string(text_.substr(at_, end - at_));
  }

  /// A value that ends before one of `ends` (or ',' or the end of the text).
  Tree parse_element(std::string_view ends) {
    skip_space();
    if (done() || text_[at_] == ',' || ends.find(text_[at_]) != std::string_view::npos) {
      fail("a value is missing (write '' for an empty text)");
    }
    Tree value;
    if (peek() == '[') {
      value = parse_list();
    } else if (peek() == '{') {
      value = parse_dict();
    } else if (peek() == '\'' || peek() == '"') {
      value = Tree::of_string(parse_quoted(), position_);
      if (value.as_string() == "???") value = Tree::missing(position_);
    } else if (const auto function = function_name()) {
      fail(
          fmt::format("the function '{}' cannot stand inside another value; "
                      "to keep the text, quote it",
                      *function));
    } else {
      return parse_words(ends);
    }
    skip_space();
    if (!done() && peek() != ',' && ends.find(peek()) == std::string_view::npos) {
      fail(fmt::format("unexpected '{}' after a value; quote the whole text", peek()));
    }
    return value;
  }

  void enter() {
    if (++depth_ >= kMaxDepth) fail(fmt::format("nested deeper than {} levels", kMaxDepth));
    ++at_;
  }

  Tree parse_list() {
    enter();
    std::vector<Tree> items;
    skip_space();
    while (peek() != ']') {
      if (!items.empty()) expect(',', "',' or ']'");
      items.push_back(parse_element("]"));
    }
    ++at_;
    --depth_;
    return Tree::of_list(std::move(items), position_);
  }

  Tree parse_dict() {
    enter();
    std::vector<Tree::Entry> entries;
    std::set<std::string> keys;
    skip_space();
    while (peek() != '}') {
      if (!entries.empty()) expect(',', "',' or '}'");
      skip_space();
      const std::string key = parse_dict_key();
      expect(':', "':' after a key");
      if (!keys.insert(key).second) fail(fmt::format("key '{}' appears twice", key));
      entries.emplace_back(key, parse_element("}"));
    }
    ++at_;
    --depth_;
    return Tree::of_map(std::move(entries), position_);
  }

  std::string parse_dict_key() {
    if (peek() == '\'' || peek() == '"') {
      const std::string quoted = parse_quoted();
      skip_space();
      return quoted;
    }
    const Tree key = parse_words(":}");
    if (!key.is_string()) {
      fail(fmt::format("a key must be a string, and this one reads as {}; quote it",
                       key.kind_name()));
    }
    return key.as_string();
  }

  /// 'text' or "text". A backslash counts only in runs before the quote: \' is a quote, \\ a
  /// backslash; elsewhere it stands for itself.
  std::string parse_quoted() {
    const char quote = text_[at_++];
    std::string result;
    while (true) {
      if (done()) fail(fmt::format("the closing {} is missing", quote));
      std::size_t run = 0;
      while (!done() && text_[at_] == '\\') {
        ++run;
        ++at_;
      }
      if (peek() != quote || done()) {
        result.append(run, '\\');
        if (run == 0 && !done()) result += text_[at_++];
        continue;
      }
      result.append(run / 2, '\\');
      ++at_;
      if (run % 2 == 0) return result;
      result += quote;
    }
  }

  /// Copies ${...} as it stands, with what is nested in it.
  void copy_interpolation(std::string& result) {
    std::size_t braces = 0;
    do {
      if (done()) fail("the closing '}' of ${ is missing");
      if (text_[at_] == '{') ++braces;
      if (text_[at_] == '}') --braces;
      result += text_[at_++];
    } while (braces > 0 || result.back() == '$');
  }

  /// Unquoted words with inner spaces: a number, bool or null if they read as one, else text.
  Tree parse_words(std::string_view ends) {
    constexpr std::string_view kSigns = "/-\\+.$%*@?|:_ \t";
    std::string result;
    bool literal = false;
    std::size_t kept = 0;  // Spaces at the end are dropped, escaped ones are not.
    while (!done() && text_[at_] != ',' && ends.find(text_[at_]) == std::string_view::npos) {
      const char c = text_[at_];
      const char next = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
      if (c == '\\' && next != '\0' &&
          std::string_view("\\()[]{}:=, \t").find(next) != std::string_view::npos) {
        result += next;
        literal = true;
        at_ += 2;
        kept = result.size();
        continue;
      }
      if (c == '$' && next == '{') {
        copy_interpolation(result);
        literal = true;
        kept = result.size();
        continue;
      }
      const auto byte = static_cast<unsigned char>(c);
      if (std::isalnum(byte) == 0 && byte < 0x80 && kSigns.find(c) == std::string_view::npos) {
        fail(fmt::format("'{}' must be quoted or escaped with a backslash", c));
      }
      result += c;
      ++at_;
      if (!space(c)) kept = result.size();
    }
    result.resize(kept);
    if (result.size() > kMaxStringBytes) {
      fail(fmt::format("a text of more than {} bytes", kMaxStringBytes));
    }
    return literal ? Tree::of_string(result, position_)
                   : resolve_override_scalar(result, position_);
  }

  struct Argument {
    std::string name;
    Tree value;
  };

  std::vector<Argument> parse_arguments() {
    std::vector<Argument> arguments;
    skip_space();
    while (peek() != ')') {
      if (!arguments.empty()) expect(',', "',' or ')'");
      skip_space();
      std::size_t end = at_;
      while (end < text_.size() && (std::isalpha(static_cast<unsigned char>(text_[end])) != 0)) {
        ++end;
      }
      std::string name;
      if (end > at_ && end < text_.size() && text_[end] == '=') {
        name = text_.substr(at_, end - at_);
        at_ = end + 1;
      }
      arguments.push_back({name, parse_element(")")});
      if (arguments.size() > kMaxSweepValues) fail("too many values");
    }
    ++at_;
    return arguments;
  }

  std::vector<Tree> parse_function(const std::string& name) {
    static const std::vector<std::string> kKnown = {"choice", "range"};
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
      fail(fmt::format("unknown function '{}'.{} Known: {}. To keep the text, quote it", name,
                       did_you_mean(name, kKnown), join_names(kKnown)));
    }
    at_ += name.size() + 1;
    const std::vector<Argument> arguments = parse_arguments();
    return name == "choice" ? choice(arguments) : range(arguments);
  }

  std::vector<Tree> choice(const std::vector<Argument>& arguments) {
    std::vector<Tree> values;
    for (const Argument& argument : arguments) {
      if (!argument.name.empty()) fail("choice() takes no named arguments");
      values.push_back(argument.value);
    }
    if (values.empty()) fail("choice() needs at least one value");
    return values;
  }

  std::vector<Tree> range(const std::vector<Argument>& arguments) {
    const std::vector<std::string> names = {"start", "stop", "step"};
    std::vector<std::optional<Tree>> given(3);
    std::size_t unnamed = 0;
    for (const Argument& argument : arguments) {
      const auto name = std::find(names.begin(), names.end(), argument.name);
      if (!argument.name.empty() && name == names.end()) {
        fail(fmt::format("range() has no argument '{}'; it takes {}", argument.name,
                         join_names(names)));
      }
      const std::size_t place =
          argument.name.empty() ? unnamed++ : static_cast<std::size_t>(name - names.begin());
      if (place > 2 || given[place]) fail("range() takes start, stop and step, each once");
      const Tree::Kind kind = argument.value.kind();
      if (kind != Tree::Kind::kInt && kind != Tree::Kind::kFloat) {
        fail(fmt::format("range() takes numbers, not {}", argument.value.kind_name()));
      }
      given[place] = argument.value;
    }
    if (given[0] && !given[1]) std::swap(given[0], given[1]);  // range(stop)
    if (!given[1]) fail("range() needs at least where to stop");
    const Tree start = given[0].value_or(Tree::of_int(0)), stop = *given[1];
    const Tree step = given[2].value_or(Tree::of_int(1));
    const auto is_int = [](const Tree& tree) { return tree.kind() == Tree::Kind::kInt; };
    if (is_int(start) && is_int(stop) && is_int(step)) {
      return int_range(start.as_int(), stop.as_int(), step.as_int());
    }
    const auto number = [&](const Tree& tree) {
      return is_int(tree) ? static_cast<double>(tree.as_int()) : tree.as_float();
    };
    return float_range(number(start), number(stop), number(step));
  }

  std::vector<Tree> int_range(std::int64_t start, std::int64_t stop, std::int64_t step) {
    if (step == 0) fail("the step of range() must not be 0");
    std::vector<Tree> values;
    for (std::int64_t x = start; step > 0 ? x < stop : x > stop;) {
      values.push_back(Tree::of_int(x, position_));
      if (values.size() > kMaxSweepValues) fail_range_size();
      if (__builtin_add_overflow(x, step, &x)) break;
    }
    return values;
  }

  std::vector<Tree> float_range(double start, double stop, double step) {
    if (!std::isfinite(start) || !std::isfinite(stop) || !std::isfinite(step) || step == 0) {
      fail("range() needs finite numbers and a step other than 0");
    }
    std::vector<Tree> values;
    for (std::size_t i = 0;; ++i) {
      // Not by adding up: the error of each sum would grow from value to value.
      const double x = start + static_cast<double>(i) * step;
      if (step > 0 ? x >= stop : x <= stop) return values;
      values.push_back(Tree::of_float(x, position_));
      if (values.size() > kMaxSweepValues) fail_range_size();
    }
  }

  [[noreturn]] void fail_range_size() const {
    fail(fmt::format("range() of more than {} values", kMaxSweepValues));
  }

  std::string_view text_;
  std::size_t at_;
  Position position_;
  std::size_t depth_ = 0;
};

}  // namespace

ParsedValues parse_values(std::string_view text, std::size_t begin, const Position& position) {
  ParsedValues result;
  result.values = ValueParser(text, begin, position).parse(result.is_sweep);
  return result;
}

}  // namespace attnlab::config
