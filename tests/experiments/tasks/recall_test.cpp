#include "experiments/tasks/recall.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>

#include <map>

#include "experiments/tasks/levels.h"
#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

using testing::HasSubstr;

TEST(RecallTest, LabelsAreTheValuesOfKeysSeenBefore) {
  EXPECT_TRUE(rc::check([](std::uint32_t seed) {
    const bool noisy = *rc::gen::arbitrary<bool>();
    const auto length = 2 * *rc::gen::inRange<std::size_t>(6, 40);
    const auto task = task_of(noisy ? "noisy_recall" : "recall",
                              {"seqlen=" + std::to_string(length), "seed=" + std::to_string(seed)});
    const Sample sample = task->sample(Split::kTest, 1);
    RC_ASSERT(sample.inputs.size() == length - 1);
    RC_ASSERT(sample.labels.size() == length - 1);
    std::map<std::int32_t, std::int32_t> value_of;
    for (std::size_t i = 0; i < length - 1; i += 2) {
      const std::int32_t key = sample.inputs[i];
      const bool is_last = i == length - 2;
      const std::int32_t value = is_last ? sample.labels[i] : sample.inputs[i + 1];
      if (key >= 16) {
        RC_ASSERT(noisy && !is_last && value >= 16 && value < 32);
        RC_ASSERT(sample.labels[i] == kNotScored);
      } else {
        RC_ASSERT(key < 8 && value >= 8 && value < 16);
        const auto [entry, is_new] = value_of.emplace(key, value);
        RC_ASSERT(entry->second == value);
        const std::int32_t expected = is_new ? kNotScored : value;
        RC_ASSERT(sample.labels[i] == expected);
        RC_ASSERT(!(is_last && is_new));
        RC_ASSERT(task->evidence(sample.inputs, i).has_value() == !is_new);
      }
      RC_ASSERT((is_last || sample.labels[i + 1] == kNotScored));
    }
  }));
}

TEST(RecallTest, TrainingLabelsAreNextTokensUnlessAskedOtherwise) {
  for (const char* name : {"recall", "noisy_recall", "fuzzy_recall"}) {
    const auto next = task_of(name), recalled = task_of(name, {"labels=recall"});
    for (std::uint64_t i = 0; i < 20; ++i) {
      const Sample sample = next->sample(Split::kTrain, i);
      for (std::size_t j = 0; j + 1 < sample.inputs.size(); ++j) {
        ASSERT_EQ(sample.labels[j], sample.inputs[j + 1]);
      }
      const Sample graded = recalled->sample(Split::kTrain, i);
      EXPECT_EQ(graded.inputs, sample.inputs);
      EXPECT_EQ(graded, next->graded(Split::kTrain, i));
      EXPECT_EQ(sample.labels.back(), graded.labels.back());
      EXPECT_GT(std::ranges::count(graded.labels, kNotScored), 10);
      EXPECT_EQ(next->sample(Split::kTest, i), recalled->sample(Split::kTest, i));
    }
  }
}

TEST(RecallTest, KeysValuesAndNoiseFollowTheirLaw) {
  const auto task = task_of("noisy_recall", {"noise=0.4"});
  std::vector<double> keys(8), first_values(8), noise(16);
  double noisy = 0, pairs = 0;
  for (std::uint64_t i = 0; i < 300; ++i) {
    const Sample sample = task->sample(Split::kTest, i);
    for (std::size_t place = 0; place + 1 < sample.inputs.size(); place += 2) {
      ++pairs;
      if (sample.inputs[place] >= 16) {
        ++noisy;
        for (const std::size_t j : {place, place + 1}) {
          ++noise.at(static_cast<std::size_t>(sample.inputs[j] - 16));
        }
      } else {
        ++keys.at(static_cast<std::size_t>(sample.inputs[place]));
        if (place == 0) ++first_values.at(static_cast<std::size_t>(sample.inputs[1] - 8));
      }
    }
  }
  EXPECT_EQ(pairs, 300 * 63);
  // 62 of 63 pairs may be noise.
  expect_share(noisy / pairs, 0.4 * 62 / 63, pairs, "noise");
  expect_uniform(keys, "keys");
  expect_uniform(first_values, "values of the first pair");
  expect_uniform(noise, "noise tokens");
}

TEST(RecallTest, ThePairThatIsNeverNoiseStandsAnywhere) {
  const auto task = task_of("noisy_recall", {"seqlen=12", "noise=0.999"});
  std::vector<double> places(5);
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const Sample sample = task->sample(Split::kTest, i);
    std::vector<std::size_t> pairs;
    for (std::size_t pair = 0; pair < 5; ++pair) {
      if (sample.inputs[2 * pair] < 16) pairs.push_back(pair);
    }
    ASSERT_FALSE(pairs.empty());
    if (pairs.size() == 1) ++places[pairs[0]];
  }
  expect_uniform(places, "the kept pair");
}

// Of the keys that have been there, each is asked at the end as often, however often it stood.
TEST(RecallTest, TheLastQuestionIsUniformAmongTheKeysThere) {
  const auto task = task_of("recall", {"seqlen=8", "vocab=2000"});
  std::vector<double> asked(3);
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const Sample sample = task->sample(Split::kTest, i);
    // With a thousand keys the three before are different almost always.
    for (std::size_t pair = 0; pair < 3; ++pair) {
      if (sample.inputs[2 * pair] == sample.inputs[6]) {
        ++asked[pair];
        break;
      }
    }
  }
  expect_uniform(asked, "asked pair");
}

TEST(RecallTest, LevelsUseTheLabelsOfATest) {
  const auto found = levels(*task_of("recall"), Split::kTest, 300);
  EXPECT_DOUBLE_EQ(found[0].accuracy, 1.0 / 8);
  EXPECT_NEAR(found[1].accuracy, 1.0 / 8, 0.03);
  ASSERT_EQ(found[3].name, "frequent_value");
  EXPECT_GT(found[3].accuracy, 1.0 / 8 + 0.05);
  EXPECT_LT(found[3].accuracy, 0.5);
}

TEST(RecallTest, ImpossibleKeysAreRefusedInWords) {
  EXPECT_THAT(error_of("recall", {"seqlen=9"}), HasSubstr("odd"));
  EXPECT_THAT(error_of("noisy_recall", {"vocab=17"}), HasSubstr("vocab=18"));
}

}  // namespace
}  // namespace attnlab::tasks
