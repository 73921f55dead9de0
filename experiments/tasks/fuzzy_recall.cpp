#include "experiments/tasks/fuzzy_recall.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "experiments/tasks/recall.h"
#include "kernels/core/error.h"

namespace attnlab::tasks {
namespace {

using Motif = std::vector<std::int32_t>;

class FuzzyRecall : public GeneratedTask {
 public:
  explicit FuzzyRecall(const Keys& keys)
      : GeneratedTask("fuzzy_recall", keys.seed()),
        seqlen_(static_cast<std::size_t>(keys.get_int("seqlen"))),
        padding_(static_cast<std::int32_t>(keys.get_int("vocab") - 1)),
        key_tokens_(padding_ / 2),
        key_length_(static_cast<std::size_t>(keys.get_int("key_length"))),
        value_length_(static_cast<std::size_t>(keys.get_int("value_length"))),
        next_tokens_(keys.get_string("labels") == "next") {
    check();
  }

  std::vector<std::string> vocabulary() const override {
    std::vector<std::string> tokens;
    for (std::int32_t id = 0; id < padding_; ++id) {
      tokens.push_back(id < key_tokens_ ? fmt::format("key_{}", id)
                                        : fmt::format("value_{}", id - key_tokens_));
    }
    tokens.emplace_back("padding");
    return tokens;
  }

  std::int64_t answers() const override { return padding_ - key_tokens_; }

  std::vector<Shortcut> shortcuts() const override {
    return {{"last_value", "answers with the value token that stood last before the question",
             Shortcut::Kind::kRule,
             [low = key_tokens_, high = padding_](std::span<const std::int32_t> inputs,
                                                  std::size_t position) {
               std::int64_t last = kNotScored;
               for (const std::int32_t token : inputs.first(position + 1)) {
                 if (token >= low && token < high) last = token;
               }
               return last;
             }}};
  }

 protected:
  std::optional<Sample> draw(Random& random, Split split) const override {
    const std::size_t shortest_key = split == Split::kTrain ? 1 : key_length_;
    Writer writer;
    const Motif probe_key = motif(random, shortest_key, key_length_, 0, key_tokens_);
    const Motif probe_value = motif(random, 1, value_length_, key_tokens_, padding_);
    const std::size_t probe_size = probe_key.size() + probe_value.size();
    const std::size_t probe_place = random.below(seqlen_ - 2 * probe_size);
    const std::size_t end = seqlen_ - probe_size - key_length_ - value_length_;
    while (writer.tokens.size() < end) {
      if (writer.tokens.size() >= probe_place && !writer.values.contains(probe_key)) {
        writer.add(probe_key, probe_value);
        continue;
      }
      const Motif key = motif(random, shortest_key, key_length_, 0, key_tokens_);
      const Motif value = motif(random, 1, value_length_, key_tokens_, padding_);
      writer.add(key, key == probe_key ? probe_value : value);
    }
    if (!writer.values.contains(probe_key)) return std::nullopt;
    writer.add(probe_key, probe_value);
    return keep_if(split, padded(std::move(writer)));
  }

  void label_for_training(Sample& sample) const override {
    if (next_tokens_) label_next_tokens(sample);
  }

 private:
  /// The sequence so far, with the answer to each token at that token.
  struct Writer {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> answers;
    std::map<Motif, Motif> values;

    /// The value only counts where the key is new.
    void add(const Motif& key, const Motif& new_value) {
      const auto [entry, is_new] = values.try_emplace(key, new_value);
      tokens.insert(tokens.end(), key.begin(), key.end());
      tokens.insert(tokens.end(), entry->second.begin(), entry->second.end());
      answers.insert(answers.end(), key.size(), kNotScored);
      for (const std::int32_t token : entry->second) answers.push_back(is_new ? kNotScored : token);
    }
  };

  static Motif motif(Random& random, std::size_t shortest, std::size_t longest,
                     std::int32_t first_token, std::int32_t end_token) {
    const std::size_t length = shortest + random.below(longest - shortest + 1);
    Motif tokens;
    for (const std::uint64_t token :
         random.distinct(static_cast<std::uint64_t>(end_token - first_token), length)) {
      tokens.push_back(first_token + static_cast<std::int32_t>(token));
    }
    return tokens;
  }

  /// Of seqlen + 1 tokens with padding in front, each answered at the token before it.
  Sample padded(Writer writer) const {
    const std::size_t missing = seqlen_ + 1 - writer.tokens.size();
    writer.tokens.insert(writer.tokens.begin(), missing, padding_);
    writer.answers.insert(writer.answers.begin(), missing, kNotScored);
    writer.tokens.pop_back();
    writer.answers.erase(writer.answers.begin());
    return {std::move(writer.tokens), std::move(writer.answers)};
  }

  void check() const {
    const auto value_tokens = static_cast<std::size_t>(padding_ - key_tokens_);
    if (key_length_ > static_cast<std::size_t>(key_tokens_) || value_length_ > value_tokens) {
      throw ConfigError(fmt::format(
          "[task fuzzy_recall] vocab={} has {} tokens for keys and {} for values; tokens of a key "
          "or value differ, so key_length={} and value_length={} need at least as many. Take "
          "vocab={} or more",
          padding_ + 1, key_tokens_, value_tokens, key_length_, value_length_,
          2 * std::max(key_length_, value_length_) + 1));
    }
    const std::size_t pair = key_length_ + value_length_;
    if (seqlen_ <= 2 * pair) {
      throw ConfigError(
          fmt::format("[task fuzzy_recall] seqlen={} is too short: a pair of up to {} tokens must "
                      "stand twice. Allowed: seqlen from {} on",
                      seqlen_, pair, 2 * pair + 1));
    }
  }

  std::size_t seqlen_;
  std::int32_t padding_;
  std::int32_t key_tokens_;
  std::size_t key_length_;
  std::size_t value_length_;
  bool next_tokens_;
};

}  // namespace

std::vector<OptionSpec> fuzzy_recall_specs() {
  return {int_key("seqlen", 128, 5, kMaxSeqlen, "tokens"),
          int_key("vocab", 16, 4, kMaxVocab, "tokens there are: keys, values, padding"),
          int_key("key_length", 3, 1, 1000, "tokens of a key at most"),
          int_key("value_length", 3, 1, 1000, "tokens of a value at most"),
          training_labels_key(),
          seed_key()};
}

std::unique_ptr<Task> make_fuzzy_recall(const Keys& keys) {
  return std::make_unique<FuzzyRecall>(keys);
}

}  // namespace attnlab::tasks
