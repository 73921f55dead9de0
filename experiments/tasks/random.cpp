#include "experiments/tasks/random.h"

#include <bit>
#include <unordered_map>

namespace attnlab::tasks {
namespace {

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15ull;

std::uint64_t mix(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9ull;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBull;
  return bits ^ (bits >> 31);
}

}  // namespace

Random::Random(std::uint64_t seed, std::uint64_t stream, std::uint64_t index)
    : state_(mix(mix(mix(seed + kGolden) + kGolden * (stream + 1)) + kGolden * (index + 1))) {}

std::uint64_t Random::bits() {
  state_ += kGolden;
  return mix(state_);
}

std::uint64_t Random::below(std::uint64_t count) {
  // The first 2^64 mod count values would make the small results more frequent.
  const std::uint64_t surplus = (0 - count) % count;
  std::uint64_t value = bits();
  while (value < surplus) value = bits();
  return value % count;
}

std::int64_t Random::between(std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
}

bool Random::happens(double probability) {
  return static_cast<double>(bits() >> 11) * 0x1p-53 < probability;
}

std::vector<std::uint64_t> Random::distinct(std::uint64_t count, std::uint64_t draws) {
  // Fisher and Yates, with only the moved places of 0, 1, ..., count - 1 in memory.
  std::unordered_map<std::uint64_t, std::uint64_t> moved;
  const auto at = [&](std::uint64_t place) {
    const auto found = moved.find(place);
    return found == moved.end() ? place : found->second;
  };
  std::vector<std::uint64_t> chosen;
  chosen.reserve(draws);
  for (std::uint64_t i = 0; i < draws; ++i) {
    const std::uint64_t place = i + below(count - i);
    chosen.push_back(at(place));
    moved[place] = at(i);
  }
  return chosen;
}

WeightedUrn::WeightedUrn(const std::vector<std::uint64_t>& weights) : sums_(weights.size() + 1) {
  for (std::size_t i = 1; i < sums_.size(); ++i) {
    sums_[i] += weights[i - 1];
    total_ += weights[i - 1];
    const std::size_t parent = i + (i & (~i + 1));
    if (parent < sums_.size()) sums_[parent] += sums_[i];
  }
}

std::vector<std::size_t> WeightedUrn::draw(Random& random, std::size_t draws) const {
  std::vector<std::uint64_t> sums = sums_;
  std::uint64_t total = total_;
  const std::size_t top = std::bit_floor(sums.size() - 1);
  std::vector<std::size_t> chosen;
  chosen.reserve(draws);
  while (chosen.size() < draws) {
    // The last place whose sum of weights up to it is at most `rest`; the one after it is drawn.
    const std::uint64_t target = random.below(total);
    std::uint64_t rest = target;
    std::size_t place = 0;
    for (std::size_t step = top; step > 0; step /= 2) {
      if (place + step < sums.size() && sums[place + step] <= rest) {
        place += step;
        rest -= sums[place];
      }
    }
    chosen.push_back(place);
    // Its weight: what the sum up to it exceeds the sum before it by.
    const auto sum_to = [&](std::size_t end) {
      std::uint64_t sum = 0;
      for (std::size_t i = end; i > 0; i -= i & (~i + 1)) sum += sums[i];
      return sum;
    };
    const std::uint64_t weight = sum_to(place + 1) - sum_to(place);
    for (std::size_t i = place + 1; i < sums.size(); i += i & (~i + 1)) sums[i] -= weight;
    total -= weight;
  }
  return chosen;
}

std::uint64_t fingerprint(const std::vector<std::int32_t>& numbers) {
  std::uint64_t state = mix(numbers.size() + kGolden);
  for (const std::int32_t number : numbers) {
    state = mix(state + kGolden + static_cast<std::uint32_t>(number));
  }
  return state;
}

}  // namespace attnlab::tasks
