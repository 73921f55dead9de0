#include "experiments/tasks/random.h"

#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

// From an implementation in Python's integers, written from the description of SplitMix64.
TEST(RandomTest, BitsAreTheSameOnEveryMachine) {
  Random random(1, 2, 3);
  EXPECT_EQ(random.bits(), 374318849193179560u);
  EXPECT_EQ(random.bits(), 18064757487882034925u);
  EXPECT_EQ(random.bits(), 7545989697352793513u);
  std::vector<std::uint64_t> digits;
  for (std::uint64_t index = 0; index < 10; ++index)
    digits.push_back(Random(5, 0, index).below(10));
  EXPECT_EQ(digits, (std::vector<std::uint64_t>{8, 8, 9, 0, 6, 7, 4, 4, 2, 3}));
  EXPECT_EQ(Random(0, 0, 0).distinct(10, 5), (std::vector<std::uint64_t>{6, 2, 0, 7, 5}));
  EXPECT_EQ(fingerprint({1, 2, -100}), 17214948820501211520u);
}

TEST(RandomTest, BelowIsUniform) {
  Random random(1, 0, 0);
  for (const std::size_t count : {2u, 3u, 10u, 17u}) {
    std::vector<double> counts(count);
    for (int i = 0; i < 20'000; ++i) ++counts.at(random.below(count));
    expect_uniform(counts, std::to_string(count));
  }
}

// 3/4 of 2^64 values: without rejection the lower third would come up twice as often as the others.
TEST(RandomTest, BelowHasNoBiasForHugeCounts) {
  constexpr std::uint64_t kCount = 3ull << 62;
  Random random(2, 0, 0);
  std::vector<double> thirds(3);
  for (int i = 0; i < 3000; ++i) ++thirds.at(random.below(kCount) / (kCount / 3));
  expect_uniform(thirds, "thirds");
}

TEST(RandomTest, HappensAsOftenAsItSays) {
  Random random(3, 0, 0);
  for (const double probability : {0.0, 0.25, 0.8, 1.0}) {
    int times = 0;
    for (int i = 0; i < 20'000; ++i) times += random.happens(probability) ? 1 : 0;
    expect_share(times / 20'000.0, probability, 20'000, std::to_string(probability));
  }
}

TEST(RandomTest, BetweenIncludesBothEnds) {
  Random random(4, 0, 0);
  std::vector<double> counts(4);
  for (int i = 0; i < 4000; ++i) ++counts.at(static_cast<std::size_t>(random.between(-1, 2) + 1));
  expect_uniform(counts, "-1 to 2");
}

TEST(RandomTest, DistinctNumbersAreDistinct) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    const auto count = *rc::gen::inRange<std::uint64_t>(1, 200);
    const auto draws = *rc::gen::inRange<std::uint64_t>(0, count + 1);
    const auto numbers = Random(seed, 0, 0).distinct(count, draws);
    RC_ASSERT(numbers.size() == draws);
    RC_ASSERT(std::set<std::uint64_t>(numbers.begin(), numbers.end()).size() == draws);
    for (const std::uint64_t number : numbers) RC_ASSERT(number < count);
  }));
}

TEST(RandomTest, EveryOrderOfDistinctNumbersIsAsLikely) {
  std::map<std::vector<std::uint64_t>, double> orders;
  for (std::uint64_t i = 0; i < 12'000; ++i) ++orders[Random(1, 1, i).distinct(4, 3)];
  std::vector<double> counts;
  for (const auto& [order, count] : orders) counts.push_back(count);
  ASSERT_EQ(counts.size(), 24u);
  expect_uniform(counts, "ordered triples of four");
}

// P(i, then j) = w_i / W * w_j / (W - w_i).
TEST(WeightedUrnTest, PairsFollowTheLawOfDrawingWithoutReplacement) {
  const std::vector<std::uint64_t> weights = {7, 1, 0, 4, 3};
  const WeightedUrn urn(weights);
  std::map<std::pair<std::size_t, std::size_t>, double> seen;
  Random random(9, 0, 0);
  for (int i = 0; i < 20'000; ++i) {
    const auto drawn = urn.draw(random, 2);
    ++seen[{drawn[0], drawn[1]}];
  }
  std::vector<double> counts, probabilities;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    for (std::size_t j = 0; j < weights.size(); ++j) {
      if (i == j || weights[i] == 0 || weights[j] == 0) {
        EXPECT_EQ(seen.count({i, j}), 0u) << i << ", " << j;
        continue;
      }
      counts.push_back(seen[{i, j}]);
      const auto w_i = static_cast<double>(weights[i]), w_j = static_cast<double>(weights[j]);
      probabilities.push_back(w_i / 15 * w_j / (15 - w_i));
    }
  }
  expect_law(counts, probabilities, "ordered pairs");
}

TEST(WeightedUrnTest, AFullDrawTakesEveryWeight) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    const auto count = *rc::gen::inRange<std::size_t>(1, 70);
    const auto weights = *rc::gen::container<std::vector<std::uint64_t>>(
        count, rc::gen::inRange<std::uint64_t>(1, 9));
    Random random(seed, 0, 0);
    auto drawn = WeightedUrn(weights).draw(random, count);
    std::ranges::sort(drawn);
    for (std::size_t i = 0; i < count; ++i) RC_ASSERT(drawn[i] == i);
  }));
}

TEST(FingerprintTest, OrderLengthAndEveryNumberCount) {
  EXPECT_NE(fingerprint({1, 2}), fingerprint({2, 1}));
  EXPECT_NE(fingerprint({}), fingerprint({0}));
  EXPECT_NE(fingerprint({0}), fingerprint({0, 0}));
  EXPECT_NE(fingerprint({1, 2, 3}), fingerprint({1, 2, 4}));
}

}  // namespace
}  // namespace attnlab::tasks
