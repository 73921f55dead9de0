#include "experiments/tasks/listops.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/core/error.h"

namespace attnlab::tasks {
namespace {

enum Token : std::int32_t { kMin = 10, kMax, kMed, kSum, kEnd };  // the digits are themselves

constexpr double kOperatorProbability = 0.25;
constexpr std::int64_t kMaxDepth = 64;
// Expressions that are thrown away because of their length before the search is given up.
constexpr int kMostTries = 1'000'000;

std::int32_t apply(std::int32_t op, std::vector<std::int32_t> values) {
  switch (op) {
    case kMin: return *std::ranges::min_element(values);
    case kMax: return *std::ranges::max_element(values);
    case kSum: {
      std::int32_t sum = 0;
      for (const std::int32_t value : values) sum = (sum + value) % 10;
      return sum;
    }
    default: {
      std::ranges::sort(values);
      const std::size_t middle = values.size() / 2;
      if (values.size() % 2 == 1) return values[middle];
      return (values[middle - 1] + values[middle]) / 2;
    }
  }
}

/// Draws one expression, depth first.
class Expression {
 public:
  Expression(Random& random, std::int64_t max_depth, std::int64_t max_args, std::size_t max_length)
      : random_(random), max_depth_(max_depth), max_args_(max_args), max_length_(max_length) {
    value_ = draw(1);
  }

  /// Incomplete from max_length tokens on, where it will be thrown away.
  std::vector<std::int32_t>& tokens() { return tokens_; }
  std::int32_t value() const { return value_; }

 private:
  std::int32_t draw(std::int64_t depth) {
    if (tokens_.size() >= max_length_) return 0;
    if (depth >= max_depth_ || !random_.happens(kOperatorProbability)) {
      const auto digit = static_cast<std::int32_t>(random_.below(10));
      tokens_.push_back(digit);
      return digit;
    }
    const auto op = static_cast<std::int32_t>(random_.between(kMin, kSum));
    const std::int64_t args = random_.between(2, max_args_);
    tokens_.push_back(op);
    std::vector<std::int32_t> values;
    for (std::int64_t i = 0; i < args; ++i) values.push_back(draw(depth + 1));
    tokens_.push_back(kEnd);
    return apply(op, std::move(values));
  }

  Random& random_;
  std::int64_t max_depth_;
  std::int64_t max_args_;
  std::size_t max_length_;
  std::vector<std::int32_t> tokens_;
  std::int32_t value_ = 0;
};

/// The root's operator applied to the digits that are its direct arguments; -1 where it has none.
std::int64_t value_of_direct_digits(std::span<const std::int32_t> inputs) {
  std::vector<std::int32_t> digits;
  int depth = 0;
  for (const std::int32_t token : inputs) {
    if (token < 10 && depth == 1) digits.push_back(token);
    if (token == kEnd) --depth;
    if (token >= kMin && token != kEnd) ++depth;
  }
  return digits.empty() ? -1 : apply(inputs[0], digits);
}

class ListOps : public GeneratedTask {
 public:
  explicit ListOps(const Keys& keys)
      : GeneratedTask("listops", keys.seed()),
        min_length_(keys.get_int("min_length")),
        max_length_(keys.get_int("max_length")),
        max_depth_(keys.get_int("max_depth")),
        max_args_(keys.get_int("max_args")) {
    check();
  }

  std::vector<std::string> vocabulary() const override {
    std::vector<std::string> tokens;
    for (int digit = 0; digit < 10; ++digit) tokens.push_back(std::to_string(digit));
    for (const char* token : {"[MIN", "[MAX", "[MED", "[SM", "]"}) tokens.emplace_back(token);
    return tokens;
  }

  std::int64_t answers() const override { return 10; }

  std::vector<Shortcut> shortcuts() const override {
    return {{"root_operator", "reads the first token only", Shortcut::Kind::kFitted,
             [](std::span<const std::int32_t> inputs, std::size_t) -> std::int64_t {
               return inputs[0];
             }},
            {"direct_digits", "applies the root's operator to the digits directly below it",
             Shortcut::Kind::kFitted,
             [](std::span<const std::int32_t> inputs, std::size_t) -> std::int64_t {
               return 100 * inputs[0] + value_of_direct_digits(inputs);
             }}};
  }

 protected:
  std::optional<Sample> draw(Random& random, Split split) const override {
    for (int attempt = 0; attempt < kMostTries; ++attempt) {
      Expression expression(random, max_depth_, max_args_, static_cast<std::size_t>(max_length_));
      const auto length = static_cast<std::int64_t>(expression.tokens().size());
      if (length <= min_length_ || length >= max_length_) continue;
      return keep_if(split, {std::move(expression.tokens()), {expression.value()}});
    }
    throw ConfigError(fmt::format(
        "[task listops] none of {} expressions had more than min_length={} and fewer than "
        "max_length={} tokens with max_depth={}, max_args={}; widen the lengths, or change the "
        "depth or the arguments",
        kMostTries, min_length_, max_length_, max_depth_, max_args_));
  }

 private:
  void check() const {
    if (max_length_ - min_length_ < 2) {
      throw ConfigError(fmt::format(
          "[task listops] no length lies between min_length={} and max_length={}; the bounds "
          "themselves do not count. Take max_length={} or more",
          min_length_, max_length_, min_length_ + 2));
    }
    // A double: the longest expression grows as max_args^max_depth.
    double longest = 1;
    for (std::int64_t depth = max_depth_; depth > 1 && longest < 1e18; --depth) {
      longest = 2 + static_cast<double>(max_args_) * longest;
    }
    if (longest <= static_cast<double>(min_length_)) {
      throw ConfigError(fmt::format(
          "[task listops] expressions of max_depth={} and max_args={} have at most {:.0f} tokens, "
          "and more than min_length={} are asked for; take a smaller min_length or a larger depth",
          max_depth_, max_args_, longest, min_length_));
    }
  }

  std::int64_t min_length_;
  std::int64_t max_length_;
  std::int64_t max_depth_;
  std::int64_t max_args_;
};

}  // namespace

std::vector<OptionSpec> listops_specs() {
  return {int_key("min_length", 500, 0, kMaxSeqlen, "expressions have more tokens than this"),
          int_key("max_length", 2000, 2, kMaxSeqlen, "expressions have fewer tokens than this"),
          int_key("max_depth", 10, 1, kMaxDepth, "levels, that of the digits included"),
          int_key("max_args", 10, 2, 1000, "arguments of an operator at most"), seed_key()};
}

std::unique_ptr<Task> make_listops(const Keys& keys) { return std::make_unique<ListOps>(keys); }

}  // namespace attnlab::tasks
