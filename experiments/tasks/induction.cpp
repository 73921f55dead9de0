#include "experiments/tasks/induction.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace attnlab::tasks {
namespace {

/// The smallest of the most frequent tokens below `special`.
std::int64_t most_frequent_token(std::span<const std::int32_t> inputs, std::int32_t special) {
  std::vector<int> counts(static_cast<std::size_t>(special));
  for (const std::int32_t token : inputs) {
    if (token != special) ++counts[static_cast<std::size_t>(token)];
  }
  return std::ranges::max_element(counts) - counts.begin();
}

class Induction : public GeneratedTask {
 public:
  explicit Induction(const Keys& keys)
      : GeneratedTask("induction", keys.seed()),
        seqlen_(static_cast<std::size_t>(keys.get_int("seqlen"))),
        special_(static_cast<std::int32_t>(keys.get_int("vocab") - 1)) {}

  std::vector<std::string> vocabulary() const override {
    std::vector<std::string> tokens;
    for (std::int32_t id = 0; id < special_; ++id) tokens.push_back(std::to_string(id));
    tokens.emplace_back("special");
    return tokens;
  }

  std::int64_t answers() const override { return special_; }

  std::vector<Shortcut> shortcuts() const override {
    return {{"frequent_token", "answers with the most frequent token of the sequence",
             Shortcut::Kind::kRule,
             [special = special_](std::span<const std::int32_t> inputs, std::size_t) {
               return most_frequent_token(inputs, special);
             }},
            {"last_token", "answers with the token before the question", Shortcut::Kind::kRule,
             [](std::span<const std::int32_t> inputs, std::size_t position) -> std::int64_t {
               return inputs[position - 1];
             }}};
  }

  /// The special token's first place.
  std::optional<std::size_t> evidence(std::span<const std::int32_t> inputs,
                                      std::size_t) const override {
    return static_cast<std::size_t>(std::ranges::find(inputs, special_) - inputs.begin());
  }

 protected:
  std::optional<Sample> draw(Random& random, Split split) const override {
    Sample sample{std::vector<std::int32_t>(seqlen_),
                  std::vector<std::int32_t>(seqlen_, kNotScored)};
    for (std::int32_t& token : sample.inputs) {
      token = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(special_)));
    }
    const std::size_t first = random.below(seqlen_ - 2);
    sample.inputs[first] = special_;
    sample.inputs.back() = special_;
    sample.labels.back() = sample.inputs[first + 1];
    return keep_if(split, std::move(sample));
  }

 private:
  std::size_t seqlen_;
  std::int32_t special_;
};

}  // namespace

std::vector<OptionSpec> induction_specs() {
  return {int_key("seqlen", 256, 3, kMaxSeqlen, "tokens, the question at the end included"),
          int_key("vocab", 16, 3, kMaxVocab, "tokens there are, the special one included"),
          seed_key()};
}

std::unique_ptr<Task> make_induction(const Keys& keys) { return std::make_unique<Induction>(keys); }

}  // namespace attnlab::tasks
