#include "experiments/tasks/needle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "kernels/core/error.h"

namespace attnlab::tasks {
namespace {

using Block = std::vector<std::int32_t>;

constexpr std::size_t kPhraseLength = 16;
constexpr std::uint64_t kDepths = 11;  // 0, 0.1, ..., 1

class Needle : public GeneratedTask {
 public:
  explicit Needle(const Keys& keys)
      : GeneratedTask("needle", keys.seed()),
        seqlen_(static_cast<std::size_t>(keys.get_int("seqlen"))),
        depth_(keys.get_float("depth")),
        needles_(static_cast<std::size_t>(keys.get_int("needles"))),
        value_length_(static_cast<std::size_t>(keys.get_int("value_length"))),
        haystack_(keys.get_string("haystack")),
        fillers_(static_cast<std::int32_t>(keys.get_int("fillers"))),
        keys_(static_cast<std::int32_t>(keys.get_int("keys"))),
        values_(static_cast<std::int32_t>(keys.get_int("values"))) {
    check();
  }

  std::vector<std::string> vocabulary() const override {
    std::vector<std::string> tokens;
    for (std::int32_t i = 0; i < fillers_; ++i) tokens.push_back(fmt::format("filler_{}", i));
    for (std::int32_t i = 0; i < keys_; ++i) tokens.push_back(fmt::format("key_{}", i));
    for (std::int32_t i = 0; i < values_; ++i) tokens.push_back(fmt::format("value_{}", i));
    for (const char* marker : {"begin", "needle", "query"}) tokens.emplace_back(marker);
    return tokens;
  }

  std::int64_t answers() const override { return values_; }
  bool exact_match() const override { return true; }

  std::vector<Shortcut> shortcuts() const override {
    return {{"last_needle", "answers with the values of the last needle, whatever key is asked",
             Shortcut::Kind::kRule,
             [needle = marker(kNeedle), length = value_length_](
                 std::span<const std::int32_t> inputs, std::size_t position) {
               const std::size_t question = inputs.size() - length;
               std::int64_t answer = kNotScored;
               for (std::size_t i = 0; i < question; ++i) {
                 if (inputs[i] == needle) answer = inputs[i + 2 + position - question];
               }
               return answer;
             }}};
  }

  /// The key's place in its needle.
  std::optional<std::size_t> evidence(std::span<const std::int32_t> inputs,
                                      std::size_t) const override {
    const std::int32_t asked = inputs[inputs.size() - value_length_];
    return static_cast<std::size_t>(std::ranges::find(inputs, asked) - inputs.begin());
  }

 protected:
  std::optional<Sample> draw(Random& random, Split split) const override {
    const double depth =
        depth_ >= 0 ? depth_ : static_cast<double>(random.below(kDepths)) / (kDepths - 1);
    const auto own_keys = random.distinct(static_cast<std::uint64_t>(keys_), needles_);
    std::vector<Block> own;
    for (const std::uint64_t key : own_keys) {
      own.push_back(needle(random, static_cast<std::int32_t>(key)));
    }
    const std::vector<Block> hay = haystack(random, own_keys);

    // The first needle is the one that is asked. Of needles at one border, chance orders.
    std::vector<std::tuple<std::uint64_t, std::uint64_t, std::size_t>> places;
    for (std::size_t i = 0; i < needles_; ++i) {
      const auto border =
          i == 0 ? static_cast<std::uint64_t>(std::llround(depth * static_cast<double>(hay.size())))
                 : random.below(hay.size() + 1);
      places.emplace_back(border, random.bits(), i);
    }
    std::ranges::sort(places);

    Sample sample;
    std::vector<std::int32_t>& tokens = sample.inputs;
    const auto append = [&](const Block& block) {
      tokens.insert(tokens.end(), block.begin(), block.end());
    };
    tokens.push_back(marker(kBegin));
    auto next = places.begin();
    for (std::size_t border = 0; border <= hay.size(); ++border) {
      for (; next != places.end() && std::get<0>(*next) == border; ++next) {
        append(own[std::get<2>(*next)]);
      }
      if (border < hay.size()) append(hay[border]);
    }
    tokens.push_back(marker(kQuery));
    tokens.insert(tokens.end(), own[0].begin() + 1, own[0].end() - 1);
    sample.labels.assign(seqlen_, kNotScored);
    std::copy(own[0].begin() + 2, own[0].end(),
              sample.labels.end() - static_cast<std::ptrdiff_t>(value_length_));
    return keep_if(split, std::move(sample));
  }

 private:
  enum Marker : std::int32_t { kBegin, kNeedle, kQuery };

  std::int32_t marker(Marker which) const { return fillers_ + keys_ + values_ + which; }
  std::size_t needle_size() const { return 2 + value_length_; }
  /// Tokens between `begin` and `query` that are no needle of ours.
  std::size_t hay_tokens() const { return seqlen_ - 2 - value_length_ - needles_ * needle_size(); }

  Block needle(Random& random, std::int32_t key) const {
    Block block = {marker(kNeedle), fillers_ + key};
    for (std::size_t i = 0; i < value_length_; ++i) {
      block.push_back(fillers_ + keys_ +
                      static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(values_))));
    }
    return block;
  }

  std::vector<Block> haystack(Random& random, std::vector<std::uint64_t> own_keys) const {
    std::vector<Block> blocks;
    const auto filler = [&](std::size_t i) {
      const std::size_t phrase = std::min(kPhraseLength, static_cast<std::size_t>(fillers_));
      return static_cast<std::int32_t>(
          haystack_ == "random" ? random.below(static_cast<std::uint64_t>(fillers_)) : i % phrase);
    };
    const std::size_t whole = haystack_ == "needles" ? hay_tokens() / needle_size() : 0;
    const std::size_t single = hay_tokens() - whole * needle_size();
    for (std::size_t i = 0; i < single; ++i) blocks.push_back({filler(i)});
    std::ranges::sort(own_keys);
    for (std::size_t i = 0; i < whole; ++i) {
      // Uniform among the keys that are not taken: each taken one at or below shifts it up by one.
      std::uint64_t key = random.below(static_cast<std::uint64_t>(keys_) - own_keys.size());
      for (const std::uint64_t taken : own_keys) key += taken <= key ? 1 : 0;
      blocks.push_back(needle(random, static_cast<std::int32_t>(key)));
    }
    return blocks;
  }

  void check() const {
    const std::size_t least = 2 + value_length_ + needles_ * needle_size();
    if (seqlen_ < least) {
      throw ConfigError(
          fmt::format("[task needle] needles={} with value_length={} and the question take {} "
                      "tokens, and seqlen={}; take seqlen={} or more, or fewer needles",
                      needles_, value_length_, least, seqlen_, least));
    }
    if (depth_ < 0 && depth_ != -1) {
      throw ConfigError(fmt::format(
          "[task needle] depth={} is not possible. Allowed: 0 (the beginning) to 1 (the "
          "end), or -1 (one of 0, 0.1, ..., 1 by chance)",
          depth_));
    }
    const std::size_t wanted = needles_ + (haystack_ == "needles" ? 1 : 0);
    if (static_cast<std::size_t>(keys_) < wanted) {
      throw ConfigError(
          fmt::format("[task needle] keys={} are too few for needles={} with different keys and "
                      "haystack={}; take keys={} or more",
                      keys_, needles_, haystack_, wanted));
    }
  }

  std::size_t seqlen_;
  double depth_;
  std::size_t needles_;
  std::size_t value_length_;
  std::string haystack_;
  std::int32_t fillers_;
  std::int32_t keys_;
  std::int32_t values_;
};

}  // namespace

std::vector<OptionSpec> needle_specs() {
  constexpr std::int64_t kMost = kMaxVocab / 4;
  return {int_key("seqlen", 256, 6, kMaxSeqlen, "tokens, the question included"),
          float_key("depth", -1, -1, 1,
                    "of the needle that is asked: 0 beginning, 1 end, -1 one of eleven by chance"),
          int_key("needles", 1, 1, kMost, "pairs put into the haystack, one of which is asked"),
          int_key("value_length", 1, 1, 1000, "tokens of a value"),
          choice_key("haystack", "noise", {"noise", "random", "needles"},
                     "one phrase over and over, random filler, or other needles"),
          int_key("fillers", 64, 1, kMost, "tokens for the haystack"),
          int_key("keys", 64, 1, kMost, "tokens for keys"),
          int_key("values", 64, 1, kMost, "tokens for values"),
          seed_key()};
}

std::unique_ptr<Task> make_needle(const Keys& keys) { return std::make_unique<Needle>(keys); }

}  // namespace attnlab::tasks
