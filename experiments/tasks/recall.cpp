#include "experiments/tasks/recall.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "kernels/core/error.h"

namespace attnlab::tasks {
namespace {

struct Settings {
  std::string name;
  std::uint64_t seed = 0;
  std::int64_t seqlen = 0;
  std::int64_t vocab = 0;
  std::int64_t noise_vocab = 0;
  double noise = 0;
  bool next_tokens = true;
};

class Recall : public GeneratedTask {
 public:
  explicit Recall(const Settings& settings)
      : GeneratedTask(settings.name, settings.seed),
        settings_(settings),
        keys_(static_cast<std::int32_t>((settings.vocab - settings.noise_vocab) / 2)),
        noise_begin_(static_cast<std::int32_t>(settings.vocab - settings.noise_vocab)) {
    if (settings.seqlen % 2 != 0) {
      throw ConfigError(fmt::format(
          "[task {}] seqlen={} is odd, and pairs take two tokens each; take seqlen={} or {}",
          name(), settings.seqlen, settings.seqlen - 1, settings.seqlen + 1));
    }
    if (keys_ < 1) {
      throw ConfigError(fmt::format(
          "[task {}] vocab={} leaves no key and value beside noise_vocab={}; take vocab={} or more",
          name(), settings.vocab, settings.noise_vocab, settings.noise_vocab + 2));
    }
  }

  std::vector<std::string> vocabulary() const override {
    std::vector<std::string> tokens;
    for (std::int64_t id = 0; id < settings_.vocab; ++id) {
      tokens.push_back(id < keys_          ? fmt::format("key_{}", id)
                       : id < noise_begin_ ? fmt::format("value_{}", id - keys_)
                                           : fmt::format("noise_{}", id - noise_begin_));
    }
    return tokens;
  }

  std::int64_t answers() const override { return noise_begin_ - keys_; }

  std::vector<Shortcut> shortcuts() const override {
    const auto is_value = [low = keys_, high = noise_begin_](std::int32_t token) {
      return token >= low && token < high;
    };
    return {{"last_value", "answers with the value that stood last", Shortcut::Kind::kRule,
             [is_value](std::span<const std::int32_t> inputs, std::size_t position) {
               std::int64_t last = kNotScored;
               for (const std::int32_t token : inputs.first(position)) {
                 if (is_value(token)) last = token;
               }
               return last;
             }},
            {"frequent_value", "answers with the value that stood most often so far",
             Shortcut::Kind::kRule,
             [is_value](std::span<const std::int32_t> inputs, std::size_t position) {
               std::map<std::int32_t, int> counts;
               std::int64_t best = kNotScored;
               int most = 0;
               for (const std::int32_t token : inputs.first(position)) {
                 if (is_value(token) && ++counts[token] > most) {
                   best = token;
                   most = counts[token];
                 }
               }
               return best;
             }}};
  }

  /// The key's latest place before.
  std::optional<std::size_t> evidence(std::span<const std::int32_t> inputs,
                                      std::size_t position) const override {
    for (std::size_t i = position; i-- > 0;) {
      if (inputs[i] == inputs[position]) return i;
    }
    return std::nullopt;
  }

 protected:
  std::optional<Sample> draw(Random& random, Split split) const override {
    const auto length = static_cast<std::size_t>(settings_.seqlen);
    const std::size_t pairs = length / 2;
    Sample sample;
    sample.labels.assign(length - 1, kNotScored);
    std::vector<std::int32_t> value_of(static_cast<std::size_t>(keys_), kNotScored);
    std::vector<std::int32_t> seen;
    const std::size_t kept = random.below(pairs - 1);
    for (std::size_t pair = 0; pair + 1 < pairs; ++pair) {
      if (pair != kept && random.happens(settings_.noise)) {
        for (int i = 0; i < 2; ++i) sample.inputs.push_back(noise_token(random));
        continue;
      }
      const auto key = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(keys_)));
      std::int32_t& value = value_of[static_cast<std::size_t>(key)];
      if (value == kNotScored) {
        value = static_cast<std::int32_t>(random.between(keys_, noise_begin_ - 1));
        seen.push_back(key);
      } else {
        sample.labels[sample.inputs.size()] = value;
      }
      sample.inputs.push_back(key);
      sample.inputs.push_back(value);
    }
    const std::int32_t asked = seen[random.below(seen.size())];
    sample.inputs.push_back(asked);
    sample.labels.back() = value_of[static_cast<std::size_t>(asked)];
    return keep_if(split, std::move(sample));
  }

  void label_for_training(Sample& sample) const override {
    if (settings_.next_tokens) label_next_tokens(sample);
  }

 private:
  std::int32_t noise_token(Random& random) const {
    return static_cast<std::int32_t>(random.between(noise_begin_, settings_.vocab - 1));
  }

  Settings settings_;
  std::int32_t keys_;
  std::int32_t noise_begin_;
};

OptionSpec seqlen_key() {
  return int_key("seqlen", 128, 4, kMaxSeqlen, "tokens drawn, an even number; the last is a label");
}

Settings settings_of(const std::string& name, const Keys& keys) {
  Settings settings;
  settings.name = name;
  settings.seed = keys.seed();
  settings.seqlen = keys.get_int("seqlen");
  settings.vocab = keys.get_int("vocab");
  settings.next_tokens = keys.get_string("labels") == "next";
  return settings;
}

}  // namespace

OptionSpec training_labels_key() {
  return choice_key("labels", "next", {"next", "recall"},
                    "of the training part: every next token, or what a test asks");
}

void label_next_tokens(Sample& sample) {
  // The last label is the token after the last input, and stays.
  std::copy(sample.inputs.begin() + 1, sample.inputs.end(), sample.labels.begin());
}

std::vector<OptionSpec> recall_specs() {
  return {seqlen_key(), int_key("vocab", 16, 2, kMaxVocab, "tokens there are: keys, then values"),
          training_labels_key(), seed_key()};
}

std::vector<OptionSpec> noisy_recall_specs() {
  return {seqlen_key(),
          int_key("vocab", 32, 3, kMaxVocab, "tokens there are: keys, values, noise"),
          int_key("noise_vocab", 16, 1, kMaxVocab, "of them for noise"),
          float_key("noise", 0.2, 0, 0.999, "probability that a pair is noise"),
          training_labels_key(),
          seed_key()};
}

std::unique_ptr<Task> make_recall(const Keys& keys) {
  return std::make_unique<Recall>(settings_of("recall", keys));
}

std::unique_ptr<Task> make_noisy_recall(const Keys& keys) {
  Settings settings = settings_of("noisy_recall", keys);
  settings.noise_vocab = keys.get_int("noise_vocab");
  settings.noise = keys.get_float("noise");
  return std::make_unique<Recall>(settings);
}

}  // namespace attnlab::tasks
