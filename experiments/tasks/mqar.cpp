#include "experiments/tasks/mqar.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "kernels/core/error.h"

namespace attnlab::tasks {
namespace {

constexpr std::int32_t kFiller = 0;

/// Integer weights, so that the choice does not hang on the last bit of a library's pow().
std::vector<std::uint64_t> gap_weights(std::int64_t space, double power_a) {
  std::vector<std::uint64_t> weights;
  for (std::int64_t i = 1; i <= space; ++i) {
    const double weight = std::pow(static_cast<double>(i), power_a - 1) * 0x1p+32;
    weights.push_back(static_cast<std::uint64_t>(std::llround(weight)) + (weight < 0.5 ? 1 : 0));
  }
  return weights;
}

class Mqar : public GeneratedTask {
 public:
  explicit Mqar(const Keys& keys)
      : GeneratedTask("mqar", keys.seed()),
        seqlen_(keys.get_int("seqlen")),
        pairs_(keys.get_int("pairs")),
        vocab_(keys.get_int("vocab")),
        random_filler_(keys.get_string("filler") == "random") {
    check();
    gaps_.emplace(gap_weights((seqlen_ - 2 * pairs_) / 2, keys.get_float("power_a")));
  }

  std::vector<std::string> vocabulary() const override {
    std::vector<std::string> tokens = {"filler"};
    for (std::int64_t id = 1; id < vocab_; ++id) {
      tokens.push_back(id < vocab_ / 2 ? fmt::format("key_{}", id)
                                       : fmt::format("value_{}", id - vocab_ / 2));
    }
    return tokens;
  }

  std::int64_t answers() const override { return vocab_ - vocab_ / 2; }

  std::vector<Shortcut> shortcuts() const override {
    const auto last_pair = static_cast<std::size_t>(2 * pairs_ - 1);
    return {{"last_pair", "answers with the value of the last pair, whatever is asked",
             Shortcut::Kind::kRule,
             [last_pair](std::span<const std::int32_t> inputs, std::size_t) -> std::int64_t {
               return inputs[last_pair];
             }}};
  }

  /// The key's first place.
  std::optional<std::size_t> evidence(std::span<const std::int32_t> inputs,
                                      std::size_t position) const override {
    for (std::size_t i = 0; i < static_cast<std::size_t>(2 * pairs_); i += 2) {
      if (inputs[i] == inputs[position]) return i;
    }
    return std::nullopt;
  }

 protected:
  std::optional<Sample> draw(Random& random, Split split) const override {
    const auto length = static_cast<std::size_t>(seqlen_);
    const auto pairs = static_cast<std::size_t>(pairs_);
    const auto first_value = static_cast<std::uint64_t>(vocab_ / 2);
    const auto vocab = static_cast<std::uint64_t>(vocab_);
    Sample sample{std::vector<std::int32_t>(length, kFiller),
                  std::vector<std::int32_t>(length, kNotScored)};
    const auto keys = random.distinct(first_value - 1, pairs);
    const auto values = random.distinct(vocab - first_value, pairs);
    const auto gaps = gaps_->draw(random, pairs);
    for (std::size_t j = 0; j < pairs; ++j) {
      const auto key = static_cast<std::int32_t>(1 + keys[j]);
      const auto value = static_cast<std::int32_t>(first_value + values[j]);
      const std::size_t query = 2 * pairs + 2 * gaps[j];
      sample.inputs[2 * j] = key;
      sample.inputs[2 * j + 1] = value;
      sample.inputs[query] = key;
      sample.labels[query] = value;
    }
    if (random_filler_) {
      for (std::int32_t& token : sample.inputs) {
        if (token == kFiller) token = static_cast<std::int32_t>(random.below(vocab));
      }
    }
    return keep_if(split, std::move(sample));
  }

 private:
  void check() const {
    if (seqlen_ % 2 != 0) {
      throw ConfigError(
          fmt::format("[task mqar] seqlen={} is odd. Allowed: even lengths; take {} or {}", seqlen_,
                      seqlen_ - 1, seqlen_ + 1));
    }
    if (4 * pairs_ > seqlen_) {
      throw ConfigError(fmt::format(
          "[task mqar] pairs={} do not fit into seqlen={}: a pair and its query take 4 tokens. "
          "Allowed: 4 * pairs <= seqlen; take pairs={} or seqlen={}",
          pairs_, seqlen_, seqlen_ / 4, 4 * pairs_));
    }
    if (vocab_ <= seqlen_) {
      throw ConfigError(fmt::format(
          "[task mqar] vocab={} is too small for seqlen={}. Allowed: vocab > seqlen; take vocab={}",
          vocab_, seqlen_, seqlen_ + 1));
    }
  }

  std::int64_t seqlen_;
  std::int64_t pairs_;
  std::int64_t vocab_;
  bool random_filler_;
  std::optional<WeightedUrn> gaps_;
};

}  // namespace

std::vector<OptionSpec> mqar_specs() {
  return {int_key("seqlen", 64, 4, kMaxSeqlen, "tokens, an even number, at least 4 * pairs"),
          int_key("pairs", 4, 1, kMaxSeqlen / 4, "pairs of key and value, each asked once"),
          int_key("vocab", 8192, 5, kMaxVocab,
                  "tokens there are, more than seqlen: filler, keys, values"),
          float_key("power_a", 0.01, 0, 1,
                    "queries stand at distance g with weight g^(power_a - 1); 1 = anywhere"),
          choice_key("filler", "zero", {"zero", "random"},
                     "between the queries: token 0, or any token, keys and values included"),
          seed_key()};
}

std::unique_ptr<Task> make_mqar(const Keys& keys) { return std::make_unique<Mqar>(keys); }

}  // namespace attnlab::tasks
