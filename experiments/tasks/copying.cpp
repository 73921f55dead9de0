#include "experiments/tasks/copying.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "kernels/core/error.h"

namespace attnlab::tasks {
namespace {

using Tokens = std::vector<std::int32_t>;

/// One string with its question: tokens from `answer` on are scored.
struct Question {
  Tokens tokens;
  std::size_t answer = 0;
};

/// What follows the first place, since the last `begin` mark, of the `letters` tokens that end at
/// `position`; kNotScored where they are new.
std::int64_t look_up(std::span<const std::int32_t> inputs, std::size_t position,
                     std::size_t letters, std::int32_t begin) {
  std::size_t start = position;
  while (start > 0 && inputs[start] != begin) --start;
  if (position + 1 < start + letters) return kNotScored;
  const auto key = inputs.subspan(position + 1 - letters, letters);
  const auto before = inputs.subspan(start, position - start);
  const auto found = std::ranges::search(before, key);
  if (found.empty()) return kNotScored;
  return inputs[start + static_cast<std::size_t>(found.end() - before.begin())];
}

bool has_unique_ngram(const Tokens& text, std::size_t ngram, std::size_t places) {
  std::map<Tokens, int> counts;
  for (std::size_t i = 0; i < places; ++i) {
    const auto begin = text.begin() + static_cast<std::ptrdiff_t>(i);
    ++counts[Tokens(begin, begin + static_cast<std::ptrdiff_t>(ngram))];
  }
  return std::ranges::any_of(counts, [](const auto& entry) { return entry.second == 1; });
}

class Copying : public GeneratedTask {
 public:
  explicit Copying(const Keys& keys)
      : GeneratedTask("copying", keys.seed()),
        kind_(keys.get_string("kind")),
        letters_(static_cast<std::int32_t>(keys.get_int("letters"))),
        min_length_(static_cast<std::size_t>(keys.get_int("min_length"))),
        max_length_(static_cast<std::size_t>(keys.get_int("max_length"))),
        ngram_(kind_ == "copy" ? 0 : static_cast<std::size_t>(keys.get_int("ngram"))),
        answer_length_(static_cast<std::size_t>(keys.get_int("answer_length"))),
        context_(static_cast<std::size_t>(keys.get_int("context"))),
        pack_(keys.get_bool("pack")) {
    check();
  }

  std::vector<std::string> vocabulary() const override {
    std::vector<std::string> tokens;
    for (std::int32_t id = 0; id < letters_; ++id) {
      tokens.push_back(letters_ <= 26 ? std::string(1, static_cast<char>('a' + id))
                                      : fmt::format("letter_{}", id));
    }
    for (const char* mark : {"$", "|", ".", "*"}) tokens.emplace_back(mark);
    return tokens;
  }

  std::int64_t answers() const override { return letters_ + 1; }
  bool exact_match() const override { return !pack_; }

  std::vector<Shortcut> shortcuts() const override {
    std::vector<Shortcut> shortcuts;
    for (const std::size_t letters : {1, 2}) {
      shortcuts.push_back({fmt::format("lookup_{}", letters),
                           fmt::format("finds the last {} tokens at their first place in the "
                                       "string and answers with what followed",
                                       letters),
                           Shortcut::Kind::kRule,
                           [letters, begin = mark(kBegin)](std::span<const std::int32_t> inputs,
                                                           std::size_t position) {
                             return look_up(inputs, position, letters, begin);
                           }});
    }
    return shortcuts;
  }

 protected:
  std::optional<Sample> draw(Random& random, Split split) const override {
    Sample sample;
    Tokens& tokens = sample.inputs;
    sample.labels.assign(context_, kNotScored);
    const auto score = [&](std::size_t begin, const Question& question) {
      for (std::size_t i = question.answer; i < question.tokens.size(); ++i) {
        sample.labels[begin + i - 1] = question.tokens[i];
      }
    };
    do {
      const std::optional<Question> question = draw_question(random, split);
      if (!question) return std::nullopt;
      const std::size_t begin = tokens.size();
      const std::size_t fits = std::min(question->tokens.size(), context_ - begin);
      tokens.insert(tokens.end(), question->tokens.begin(),
                    question->tokens.begin() + static_cast<std::ptrdiff_t>(fits));
      if (fits == question->tokens.size()) score(begin, *question);
    } while (pack_ && tokens.size() < context_);
    tokens.resize(context_, mark(kPadding));
    return sample;
  }

 private:
  enum Mark : std::int32_t { kBegin, kBar, kStop, kPadding };

  std::int32_t mark(Mark which) const { return letters_ + which; }

  /// A string of the part; nothing where none of many belongs to it.
  std::optional<Tokens> draw_string(Random& random, Split split) const {
    constexpr int kMostTries = 1000;
    for (int attempt = 0; attempt < kMostTries; ++attempt) {
      Tokens text(min_length_ + random.below(max_length_ - min_length_ + 1));
      for (std::int32_t& letter : text) {
        letter = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(letters_)));
      }
      if (!belongs(text, split)) continue;
      if (kind_ == "copy" || has_unique_ngram(text, ngram_, key_places(text) + 1)) return text;
    }
    return std::nullopt;
  }

  /// The generator leaves out the last two places that would leave a letter and the answer.
  std::size_t key_places(const Tokens& text) const {
    return text.size() - ngram_ - answer_length_ - 2;
  }

  std::optional<Question> draw_question(Random& random, Split split) const {
    const std::optional<Tokens> drawn = draw_string(random, split);
    if (!drawn) return std::nullopt;
    const Tokens& text = *drawn;
    const std::size_t place = kind_ == "copy" ? 0 : random.below(key_places(text));
    const auto key_begin = text.begin() + static_cast<std::ptrdiff_t>(place);
    const Tokens key(key_begin, key_begin + static_cast<std::ptrdiff_t>(ngram_));
    const auto first = std::ranges::search(text, key).begin() - text.begin();
    Tokens answer(text.begin() + first + static_cast<std::ptrdiff_t>(ngram_), text.end());
    if (answer_length_ > 0) answer.resize(std::min(answer.size(), answer_length_));

    Question question;
    Tokens& tokens = question.tokens;
    const auto append = [&](const Tokens& more) {
      tokens.insert(tokens.end(), more.begin(), more.end());
    };
    tokens.push_back(mark(kBegin));
    if (kind_ == "prefix") {
      append(key);
      tokens.push_back(mark(kBar));
    }
    append(text);
    tokens.push_back(mark(kBar));
    if (kind_ == "suffix") append(key);
    question.answer = tokens.size();
    append(answer);
    tokens.push_back(mark(kStop));
    return question;
  }

  void check() const {
    if (min_length_ > max_length_) {
      throw ConfigError(
          fmt::format("[task copying] min_length={} is more than max_length={}; swap them",
                      min_length_, max_length_));
    }
    const std::size_t shortest = ngram_ + answer_length_ + (kind_ == "copy" ? 0 : 3);
    if (min_length_ < shortest) {
      throw ConfigError(
          fmt::format("[task copying] strings of min_length={} have no room for ngram={} and "
                      "answer_length={} with kind={}. Allowed: min_length from {} on",
                      min_length_, ngram_, answer_length_, kind_, shortest));
    }
    // "$", two "|", "."; the longest answer is all that follows the key.
    const std::size_t longest = 2 * max_length_ + ngram_ + 4;
    if (context_ < longest) {
      throw ConfigError(fmt::format(
          "[task copying] a string of max_length={} with its question takes up to {} tokens, and "
          "context={}; take context={} or a smaller max_length",
          max_length_, longest, context_, longest));
    }
  }

  std::string kind_;
  std::int32_t letters_;
  std::size_t min_length_;
  std::size_t max_length_;
  std::size_t ngram_;
  std::size_t answer_length_;
  std::size_t context_;
  bool pack_;
};

}  // namespace

std::vector<OptionSpec> copying_specs() {
  return {choice_key("kind", "copy", {"copy", "prefix", "suffix"},
                     "copy the string; or what follows a key given before or after it"),
          int_key("min_length", 20, 1, kMaxSeqlen / 4, "letters of a string at least"),
          int_key("max_length", 50, 1, kMaxSeqlen / 4, "letters of a string at most"),
          int_key("letters", 26, 2, kMaxVocab, "of the alphabet; four marks come on top"),
          int_key("ngram", 3, 1, 1000, "letters of a key (prefix, suffix)"),
          int_key("answer_length", 0, 0, kMaxSeqlen / 4, "letters of an answer; 0 = all"),
          int_key("context", 220, 8, kMaxSeqlen, "tokens of a sample"),
          OptionSpec{"pack", true, "true: several strings a sample, the last cut; false: one"},
          seed_key()};
}

std::unique_ptr<Task> make_copying(const Keys& keys) { return std::make_unique<Copying>(keys); }

}  // namespace attnlab::tasks
