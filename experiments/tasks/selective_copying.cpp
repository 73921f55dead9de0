#include "experiments/tasks/selective_copying.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kernels/core/error.h"

namespace attnlab::tasks {
namespace {

constexpr std::int32_t kNoise = 0;

class SelectiveCopying : public GeneratedTask {
 public:
  explicit SelectiveCopying(const Keys& keys)
      : GeneratedTask("selective_copying", keys.seed()),
        seqlen_(static_cast<std::size_t>(keys.get_int("seqlen"))),
        data_tokens_(static_cast<std::size_t>(keys.get_int("data_tokens"))),
        marker_(static_cast<std::int32_t>(keys.get_int("vocab") - 1)) {
    if (2 * data_tokens_ > seqlen_) {
      throw ConfigError(fmt::format(
          "[task selective_copying] data_tokens={} do not fit into seqlen={}: each stands once and "
          "is asked once. Allowed: 2 * data_tokens <= seqlen; take data_tokens={} or seqlen={}",
          data_tokens_, seqlen_, seqlen_ / 2, 2 * data_tokens_));
    }
  }

  std::vector<std::string> vocabulary() const override {
    std::vector<std::string> tokens = {"noise"};
    for (std::int32_t id = 1; id < marker_; ++id) tokens.push_back(std::to_string(id));
    tokens.emplace_back("marker");
    return tokens;
  }

  std::int64_t answers() const override { return marker_ - 1; }

  std::vector<Shortcut> shortcuts() const override {
    return {{"last_data_token", "answers every question with the last data token",
             Shortcut::Kind::kRule,
             [count = data_tokens_](std::span<const std::int32_t> inputs, std::size_t) {
               std::int64_t last = kNoise;
               for (const std::int32_t token : inputs.first(inputs.size() - count)) {
                 if (token != kNoise) last = token;
               }
               return last;
             }}};
  }

  /// The place of the data token that is asked.
  std::optional<std::size_t> evidence(std::span<const std::int32_t> inputs,
                                      std::size_t position) const override {
    std::size_t before = position - (seqlen_ - data_tokens_);
    for (std::size_t i = 0; i < seqlen_ - data_tokens_; ++i) {
      if (inputs[i] != kNoise && before-- == 0) return i;
    }
    return std::nullopt;
  }

 protected:
  std::optional<Sample> draw(Random& random, Split split) const override {
    const std::size_t questions = seqlen_ - data_tokens_;
    Sample sample{std::vector<std::int32_t>(seqlen_, kNoise),
                  std::vector<std::int32_t>(seqlen_, kNotScored)};
    auto places = random.distinct(questions, data_tokens_);
    std::ranges::sort(places);
    for (std::size_t i = 0; i < data_tokens_; ++i) {
      const auto token = static_cast<std::int32_t>(random.between(1, marker_ - 1));
      sample.inputs[places[i]] = token;
      sample.inputs[questions + i] = marker_;
      sample.labels[questions + i] = token;
    }
    return keep_if(split, std::move(sample));
  }

 private:
  std::size_t seqlen_;
  std::size_t data_tokens_;
  std::int32_t marker_;
};

}  // namespace

std::vector<OptionSpec> selective_copying_specs() {
  return {int_key("seqlen", 4096, 2, kMaxSeqlen, "tokens, the questions at the end included"),
          int_key("data_tokens", 16, 1, kMaxSeqlen / 2, "tokens among the noise, to be copied"),
          int_key("vocab", 16, 3, kMaxVocab, "tokens there are: noise, data, marker"), seed_key()};
}

std::unique_ptr<Task> make_selective_copying(const Keys& keys) {
  return std::make_unique<SelectiveCopying>(keys);
}

}  // namespace attnlab::tasks
