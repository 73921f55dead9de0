#include "experiments/runner/length_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <set>
#include <stdexcept>
#include <vector>

#include "experiments/runner/growth.h"

namespace attnlab::runner {
namespace {

using testing::ElementsAre;

struct Outcome {
  std::vector<std::int64_t> tried;
  std::int64_t longest = 0;
  std::optional<std::int64_t> bound;
};

/// Searches where every length up to `most` fits.
Outcome search(const config::LongestConfig& range, std::int64_t most) {
  LengthSearch lengths(range);
  Outcome outcome;
  while (const auto next = lengths.next()) {
    outcome.tried.push_back(*next);
    lengths.add(*next, *next <= most);
  }
  outcome.longest = lengths.longest();
  outcome.bound = lengths.bound();
  return outcome;
}

TEST(LengthSearch, DoublesThenBisects) {
  const Outcome outcome = search({256, 1 << 20, 64, 0.0}, 1500);
  EXPECT_THAT(outcome.tried, ElementsAre(256, 512, 1024, 2048, 1536, 1280, 1408, 1472));
  EXPECT_EQ(outcome.longest, 1472);
  EXPECT_EQ(outcome.bound, 1536);
}

TEST(LengthSearch, TheResolutionEndsItEarlier) {
  EXPECT_THAT(search({256, 1 << 20, 64, 0.25}, 1500).tried,
              ElementsAre(256, 512, 1024, 2048, 1536, 1280));
}

TEST(LengthSearch, GoesBelowAStartThatDoesNotFit) {
  EXPECT_THAT(search({1024, 4096, 64, 0.0625}, 200).tried, ElementsAre(1024, 512, 256, 128, 192));
  const Outcome none = search({1024, 4096, 64, 0.0625}, 63);
  EXPECT_EQ(none.longest, 0);
  EXPECT_EQ(none.bound, 64);
}

TEST(LengthSearch, EndsWithTheMaximumWhereThatFits) {
  const Outcome outcome = search({1000, 5000, 64, 0.0625}, 1 << 27);
  EXPECT_THAT(outcome.tried, ElementsAre(1000, 2000, 4000, 5000));
  EXPECT_EQ(outcome.longest, 5000);
  EXPECT_FALSE(outcome.bound);
}

TEST(LengthSearch, AnAnswerToAnotherQuestionIsAMistake) {
  LengthSearch lengths({256, 512, 64, 0});
  EXPECT_THROW(lengths.add(512, true), std::logic_error);
}

/// Whatever the range and the limit: few lengths, each once, none beyond the maximum, and an answer
/// that is right to within the granularity or the resolution.
TEST(LengthSearch, IsRightForEveryLimit) {
  const bool passed = rc::check([] {
    config::LongestConfig range;
    range.granularity = *rc::gen::inRange<std::int64_t>(1, 500);
    range.start = *rc::gen::inRange<std::int64_t>(range.granularity, 5000);
    range.max = *rc::gen::inRange<std::int64_t>(range.start, std::int64_t{1} << 27);
    range.resolution = *rc::gen::inRange(0, 1000) / 1000.0;
    const double exponent = *rc::gen::inRange(0, 2800) / 100.0;
    const auto most = static_cast<std::int64_t>(std::exp2(exponent)) - 1;
    const Outcome outcome = search(range, most);

    RC_ASSERT(outcome.tried.size() <= 60u);
    RC_ASSERT(std::set(outcome.tried.begin(), outcome.tried.end()).size() == outcome.tried.size());
    for (const std::int64_t tried : outcome.tried) RC_ASSERT(tried >= 1 && tried <= range.max);
    RC_ASSERT(outcome.longest <= most);
    if (!outcome.bound) {
      RC_ASSERT(outcome.longest == range.max);
      return;
    }
    RC_ASSERT(*outcome.bound > most);
    const double gap = static_cast<double>(*outcome.bound - outcome.longest);
    RC_ASSERT(gap <= static_cast<double>(range.granularity) ||
              gap <= range.resolution * static_cast<double>(outcome.longest));
  });
  EXPECT_TRUE(passed);
}

/// Lengths that fit and lengths that do not in any disorder: it ends, below what did not fit.
TEST(LengthSearch, EndsWhateverTheAnswers) {
  const bool passed = rc::check([](const std::vector<bool>& answers) {
    LengthSearch lengths({64, 1 << 22, 64, 0.01});
    std::size_t count = 0;
    while (const auto next = lengths.next()) {
      lengths.add(*next, count < answers.size() && answers[count]);
      RC_ASSERT(++count <= 60u);
    }
    RC_ASSERT(!lengths.bound() || lengths.longest() < *lengths.bound());
  });
  EXPECT_TRUE(passed);
}

TEST(Growth, IsThePowerThroughTheLongestAndItsHalf) {
  Growth growth;
  EXPECT_FALSE(growth.at(100));
  growth.add(100, 1.0);
  EXPECT_DOUBLE_EQ(*growth.at(1000), 1.0);  // one value: nothing is known of its growth
  growth.add(200, 4.0);
  EXPECT_NEAR(*growth.at(400), 16.0, 1e-9);
  growth.add(220, 40.0);  // a disturbed neighbour: the power is that from 100, at most cubic
  EXPECT_NEAR(*growth.at(440), 320.0, 1e-6);
  growth.add(0, 5.0);
  growth.add(10000, -1.0);
  EXPECT_NEAR(*growth.at(440), 320.0, 1e-6);
}

TEST(Growth, DoesNotFall) {
  Growth growth;
  growth.add(100, 4.0);
  growth.add(200, 1.0);
  EXPECT_DOUBLE_EQ(*growth.at(800), 1.0);
}

}  // namespace
}  // namespace attnlab::runner
