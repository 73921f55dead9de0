#include "experiments/tasks/fuzzy_recall.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "experiments/tasks/levels.h"
#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

using testing::HasSubstr;
using Motif = std::vector<std::int32_t>;

bool is_key(std::int32_t token) { return token < 7; }

/// Walks over the pairs: a run of keys, then a run of values. `visit(key, value, places of the
/// value)`; the last token of the last value is not among the inputs.
template <class Visit>
void for_each_pair(const Sample& sample, const Visit& visit) {
  std::vector<std::int32_t> tokens = sample.inputs;
  tokens.push_back(sample.labels.back());
  std::size_t i = 0;
  while (tokens[i] == 15) ++i;
  while (i < tokens.size()) {
    Motif key, value;
    while (i < tokens.size() && is_key(tokens[i])) key.push_back(tokens[i++]);
    const std::size_t begin = i;
    while (i < tokens.size() && !is_key(tokens[i])) value.push_back(tokens[i++]);
    visit(key, value, begin);
  }
}

TEST(FuzzyRecallTest, LabelsAreTheValuesOfKeysSeenBefore) {
  const auto task = task_of("fuzzy_recall", {"labels=recall"});
  for (const Split split : {Split::kTrain, Split::kTest}) {
    for (std::uint64_t i = 0; i < 200; ++i) {
      const Sample sample = task->sample(split, i);
      ASSERT_EQ(sample.inputs.size(), 128u);
      ASSERT_EQ(sample.labels.size(), 128u);
      std::map<Motif, Motif> value_of;
      std::vector<std::int32_t> expected(128, kNotScored);
      bool asked_before = false;
      for_each_pair(sample, [&](const Motif& key, const Motif& value, std::size_t begin) {
        ASSERT_FALSE(key.empty());
        ASSERT_LE(key.size(), 3u);
        if (split == Split::kTest) {
          ASSERT_EQ(key.size(), 3u);
        }
        ASSERT_FALSE(value.empty());
        ASSERT_LE(value.size(), 3u);
        ASSERT_EQ(std::set<std::int32_t>(key.begin(), key.end()).size(), key.size());
        ASSERT_EQ(std::set<std::int32_t>(value.begin(), value.end()).size(), value.size());
        const auto [entry, is_new] = value_of.emplace(key, value);
        asked_before = !is_new;
        EXPECT_EQ(entry->second, value);
        for (std::size_t j = 0; !is_new && j < value.size(); ++j) {
          expected[begin + j - 1] = value[j];
        }
      });
      EXPECT_TRUE(asked_before) << "the last key never stood before";
      EXPECT_EQ(sample.labels, expected);
    }
  }
}

TEST(FuzzyRecallTest, LengthsAndMotifsAreUniform) {
  const auto task = task_of("fuzzy_recall");
  std::vector<double> key_lengths(3), value_lengths(3);
  std::map<Motif, double> pairs_of_keys;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    bool first = true;
    for_each_pair(task->sample(Split::kTrain, i),
                  [&](const Motif& key, const Motif& value, std::size_t) {
                    // The first pair is drawn without regard to the others, but for the probe,
                    // which has the same law.
                    if (!first) return;
                    first = false;
                    ++key_lengths.at(key.size() - 1);
                    ++value_lengths.at(value.size() - 1);
                    if (key.size() == 2) ++pairs_of_keys[key];
                  });
  }
  expect_uniform(key_lengths, "length of a key");
  expect_uniform(value_lengths, "length of a value");
  std::vector<double> counts;
  for (const auto& [key, count] : pairs_of_keys) counts.push_back(count);
  ASSERT_EQ(counts.size(), 42u);  // ordered pairs of seven
  expect_uniform(counts, "keys of two tokens");
}

TEST(FuzzyRecallTest, TheProbeStandsAnywhereBefore) {
  // Keys hardly ever repeat by chance here, so that the first place of the last key is the probe's.
  const auto task = task_of("fuzzy_recall", {"vocab=400", "labels=recall"});
  std::vector<double> quarters(4);
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const Sample sample = task->sample(Split::kTest, i);
    const auto& x = sample.inputs;
    std::size_t last = 127;
    while (x[last] >= 199) --last;
    for (std::size_t j = 0; j + 3 < last; ++j) {
      if (x[j] == x[last - 2] && x[j + 1] == x[last - 1] && x[j + 2] == x[last]) {
        ++quarters.at(j / 32);
        break;
      }
    }
  }
  for (std::size_t q = 0; q < 4; ++q) EXPECT_NEAR(quarters[q] / 2000, 0.25, 0.06) << q;
}

TEST(FuzzyRecallTest, LevelsAndRefusals) {
  const auto found = levels(*task_of("fuzzy_recall"), Split::kTest, 300);
  EXPECT_DOUBLE_EQ(found[0].accuracy, 1.0 / 8);
  EXPECT_NEAR(found[1].accuracy, 1.0 / 8, 0.05);
  EXPECT_THAT(error_of("fuzzy_recall", {"vocab=6"}), HasSubstr("vocab=7"));
  EXPECT_THAT(error_of("fuzzy_recall", {"seqlen=12"}), HasSubstr("from 13 on"));
  EXPECT_EQ(error_of("fuzzy_recall", {"seqlen=13"}), "no error");
  EXPECT_EQ(error_of("fuzzy_recall", {"vocab=7"}), "no error");
}

}  // namespace
}  // namespace attnlab::tasks
