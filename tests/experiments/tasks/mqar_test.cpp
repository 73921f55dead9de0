#include "experiments/tasks/mqar.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>

#include <map>
#include <set>

#include "experiments/tasks/levels.h"
#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// From an implementation in Python with a linear search instead of the tree of sums.
TEST(MqarTest, BytesAreTheSameOnEveryMachine) {
  const auto task = task_of("mqar", {"seqlen=16", "pairs=2", "vocab=20", "seed=7"});
  const Sample train = task->sample(Split::kTrain, 0), test = task->sample(Split::kTest, 5);
  EXPECT_EQ(train.inputs, (std::vector{2, 19, 1, 17, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0}));
  EXPECT_EQ(train.labels[12], 17);
  EXPECT_EQ(train.labels[14], 19);
  EXPECT_EQ(test.inputs, (std::vector{7, 11, 2, 15, 7, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  const Sample large =
      task_of("mqar", {"seqlen=256", "pairs=16", "seed=3"})->sample(Split::kTrain, 11);
  EXPECT_EQ(fingerprint(large.inputs), 17075616248594268634u);
  EXPECT_EQ(fingerprint(large.labels), 3174437875713623811u);
}

TEST(MqarTest, EverySampleIsAsDefined) {
  EXPECT_TRUE(rc::check([](std::uint32_t seed) {
    const auto pairs = *rc::gen::inRange<std::size_t>(1, 9);
    const auto length = 4 * pairs + 2 * *rc::gen::inRange<std::size_t>(0, 20);
    const auto vocab = static_cast<std::int32_t>(length) + *rc::gen::inRange(4, 40);
    const auto task =
        task_of("mqar", {"seqlen=" + std::to_string(length), "pairs=" + std::to_string(pairs),
                         "vocab=" + std::to_string(vocab), "seed=" + std::to_string(seed)});
    const Sample sample = task->sample(Split::kTrain, 0);
    RC_ASSERT(sample.inputs.size() == length);
    RC_ASSERT(sample.labels.size() == length);
    std::map<std::int32_t, std::int32_t> value_of;
    std::set<std::int32_t> values, asked;
    for (std::size_t j = 0; j < pairs; ++j) {
      const std::int32_t key = sample.inputs[2 * j], value = sample.inputs[2 * j + 1];
      RC_ASSERT(key >= 1 && key < vocab / 2);
      RC_ASSERT(value >= vocab / 2 && value < vocab);
      RC_ASSERT(value_of.emplace(key, value).second);
      RC_ASSERT(values.insert(value).second);
    }
    for (std::size_t i = 0; i < length; ++i) {
      if (i < 2 * pairs || sample.inputs[i] == 0) {
        RC_ASSERT(sample.labels[i] == kNotScored);
      } else {
        RC_ASSERT(i % 2 == 0);
        RC_ASSERT(sample.labels[i] == value_of.at(sample.inputs[i]));
        RC_ASSERT(asked.insert(sample.inputs[i]).second);
        RC_ASSERT(sample.inputs[*task->evidence(sample.inputs, i)] == sample.inputs[i]);
        RC_ASSERT(*task->evidence(sample.inputs, i) < 2 * pairs);
      }
    }
    RC_ASSERT(asked.size() == pairs);
  }));
}

// With one pair, P(gap = i) is proportional to (i + 1)^(a - 1); the key is at 0.
TEST(MqarTest, DistancesFollowThePowerLaw) {
  for (const double power : {0.01, 0.5, 1.0}) {
    const auto task =
        task_of("mqar", {"seqlen=34", "pairs=1", "vocab=1000", "power_a=" + std::to_string(power)});
    std::vector<double> counts(16), law(16);
    double sum = 0;
    for (std::size_t i = 0; i < 16; ++i) sum += std::pow(i + 1.0, power - 1);
    for (std::size_t i = 0; i < 16; ++i) law[i] = std::pow(i + 1.0, power - 1) / sum;
    for (std::uint64_t index = 0; index < 8000; ++index) {
      const Sample sample = task->sample(Split::kTrain, index);
      for (std::size_t i = 2; i < 34; ++i) counts[(i - 2) / 2] += sample.inputs[i] != 0 ? 1 : 0;
    }
    expect_law(counts, law, "power_a " + std::to_string(power));
  }
}

// Two pairs in three places: P(i, j) = p_i p_j / (1 - p_i) for the gaps of the first and second.
TEST(MqarTest, GapsOfSeveralPairsAreDrawnOneAfterTheOther) {
  const auto task = task_of("mqar", {"seqlen=10", "pairs=2", "vocab=4000"});
  const double p[] = {1.0, std::pow(2.0, -0.99), std::pow(3.0, -0.99)};
  const double sum = p[0] + p[1] + p[2];
  std::map<std::pair<std::size_t, std::size_t>, double> seen;
  for (std::uint64_t index = 0; index < 12'000; ++index) {
    const Sample sample = task->sample(Split::kTest, index);
    std::size_t gap[2] = {};
    for (std::size_t i = 4; i < 10; ++i) {
      if (sample.inputs[i] == sample.inputs[0]) gap[0] = (i - 4) / 2;
      if (sample.inputs[i] == sample.inputs[2]) gap[1] = (i - 4) / 2;
    }
    ++seen[{gap[0], gap[1]}];
  }
  std::vector<double> counts, law;
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      if (i == j) continue;
      counts.push_back(seen[{i, j}]);
      law.push_back(p[i] / sum * p[j] / (sum - p[i]));
    }
  }
  expect_law(counts, law, "gaps");
}

TEST(MqarTest, KeysAndValuesAreUniform) {
  const auto task = task_of("mqar", {"seqlen=8", "pairs=2", "vocab=21"});
  std::vector<double> keys(9), values(11);
  for (std::uint64_t index = 0; index < 6000; ++index) {
    const Sample sample = task->sample(Split::kTrain, index);
    ++keys.at(static_cast<std::size_t>(sample.inputs[2] - 1));
    ++values.at(static_cast<std::size_t>(sample.inputs[1] - 10));
  }
  expect_uniform(keys, "second key");
  expect_uniform(values, "first value");
}

TEST(MqarTest, RandomFillerIsAnyTokenAndIsNeverAsked) {
  const auto task = task_of("mqar", {"seqlen=40", "pairs=1", "vocab=50", "filler=random"});
  std::vector<double> counts(50);
  for (std::uint64_t index = 0; index < 500; ++index) {
    const Sample sample = task->sample(Split::kTrain, index);
    std::size_t asked = 0;
    for (std::size_t i = 2; i < 40; ++i) {
      if (sample.labels[i] == kNotScored) {
        ++counts[static_cast<std::size_t>(sample.inputs[i])];
      } else {
        ++asked;
      }
    }
    EXPECT_EQ(asked, 1u);
  }
  expect_uniform(counts, "filler");
}

TEST(MqarTest, ChanceAndShortcutsAreWhatTheLawSays) {
  const auto task = task_of("mqar", {"seqlen=64", "pairs=8", "vocab=80"});
  const auto found = levels(*task, Split::kTest, 2000);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].accuracy, 1.0 / 40);
  expect_share(found[1].accuracy, 1.0 / 40, 16'000, "most frequent");
  expect_share(found[2].accuracy, 1.0 / 8, 16'000, "last pair");
}

TEST(MqarTest, ImpossibleKeysAreRefusedInWords) {
  EXPECT_THAT(error_of("mqar", {"seqlen=63"}), AllOf(HasSubstr("odd"), HasSubstr("62 or 64")));
  EXPECT_THAT(error_of("mqar", {"seqlen=16", "pairs=5"}),
              AllOf(HasSubstr("4 * pairs <= seqlen"), HasSubstr("pairs=4 or seqlen=20")));
  EXPECT_THAT(error_of("mqar", {"vocab=64"}), AllOf(HasSubstr("vocab > seqlen"), HasSubstr("65")));
  EXPECT_EQ(error_of("mqar", {"seqlen=16", "pairs=4", "vocab=17"}), "no error");
}

}  // namespace
}  // namespace attnlab::tasks
