#include "experiments/tasks/selective_copying.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>

#include <map>

#include "experiments/tasks/levels.h"
#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

TEST(SelectiveCopyingTest, EverySampleIsAsDefined) {
  EXPECT_TRUE(rc::check([](std::uint32_t seed) {
    const auto count = *rc::gen::inRange<std::size_t>(2, 9);
    const auto length = 2 * count + *rc::gen::inRange<std::size_t>(4, 40);
    const auto task = task_of("selective_copying", {"seqlen=" + std::to_string(length),
                                                    "data_tokens=" + std::to_string(count),
                                                    "vocab=16", "seed=" + std::to_string(seed)});
    const Sample sample = task->sample(Split::kTrain, 0);
    RC_ASSERT(sample.inputs.size() == length);
    RC_ASSERT(sample.labels.size() == length);
    std::vector<std::int32_t> data, asked;
    for (std::size_t i = 0; i < length; ++i) {
      if (i >= length - count) {
        RC_ASSERT(sample.inputs[i] == 15);
        asked.push_back(sample.labels[i]);
        const std::size_t place = *task->evidence(sample.inputs, i);
        RC_ASSERT(place < length - count);
        RC_ASSERT(sample.inputs[place] == sample.labels[i]);
      } else {
        RC_ASSERT(sample.labels[i] == kNotScored);
        RC_ASSERT(sample.inputs[i] < 15);
        if (sample.inputs[i] != 0) data.push_back(sample.inputs[i]);
      }
    }
    RC_ASSERT(data == asked);
  }));
}

// Every set of two of five places, 10 of them, and every data token.
TEST(SelectiveCopyingTest, PlacesAndTokensAreUniform) {
  const auto task = task_of("selective_copying", {"seqlen=7", "data_tokens=2", "vocab=102"});
  std::map<std::pair<std::size_t, std::size_t>, double> sets;
  std::vector<double> halves(4);
  for (std::uint64_t i = 0; i < 6000; ++i) {
    const Sample sample = task->sample(Split::kTrain, i);
    std::vector<std::size_t> places;
    for (std::size_t place = 0; place < 5; ++place) {
      if (sample.inputs[place] != 0) places.push_back(place);
    }
    ASSERT_EQ(places.size(), 2u);
    ++sets[{places[0], places[1]}];
    ++halves.at(static_cast<std::size_t>((sample.labels[5] - 1) / 25));
  }
  std::vector<double> counts;
  for (const auto& [set, count] : sets) counts.push_back(count);
  ASSERT_EQ(counts.size(), 10u);
  expect_uniform(counts, "sets of places");
  expect_uniform(halves, "quarters of the data tokens");
}

TEST(SelectiveCopyingTest, LevelsAndRefusals) {
  const auto task = task_of("selective_copying", {"seqlen=256"});
  const auto found = levels(*task, Split::kTest, 500);
  EXPECT_DOUBLE_EQ(found[0].accuracy, 1.0 / 14);
  expect_share(found[1].accuracy, 1.0 / 14, 8000, "most frequent");
  // Right for the last of 16, a guess for the others.
  expect_share(found[2].accuracy, 1.0 / 16 + 15.0 / 16 / 14, 8000, "last data token");
  EXPECT_THAT(error_of("selective_copying", {"seqlen=31"}),
              testing::HasSubstr("data_tokens=15 or seqlen=32"));
}

}  // namespace
}  // namespace attnlab::tasks
