#include "experiments/tasks/induction.h"

#include <rapidcheck.h>

#include <algorithm>

#include "experiments/tasks/levels.h"
#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

TEST(InductionTest, EverySampleIsAsDefined) {
  EXPECT_TRUE(rc::check([](std::uint32_t seed) {
    const auto length = *rc::gen::inRange<std::size_t>(8, 60);
    const auto vocab = *rc::gen::inRange<std::int32_t>(4, 30);
    const auto task =
        task_of("induction", {"seqlen=" + std::to_string(length), "vocab=" + std::to_string(vocab),
                              "seed=" + std::to_string(seed)});
    const Sample sample = task->sample(Split::kTrain, 0);
    const std::int32_t special = vocab - 1;
    RC_ASSERT(sample.inputs.size() == length);
    RC_ASSERT(std::ranges::count(sample.inputs, special) == 2);
    RC_ASSERT(sample.inputs.back() == special);
    const auto first = std::ranges::find(sample.inputs, special);
    RC_ASSERT(sample.labels.back() == *(first + 1));
    RC_ASSERT(std::ranges::count(sample.labels, kNotScored) ==
              static_cast<std::ptrdiff_t>(length) - 1);
    RC_ASSERT(*task->evidence(sample.inputs, length - 1) ==
              static_cast<std::size_t>(first - sample.inputs.begin()));
  }));
}

TEST(InductionTest, PlacesAndTokensAreUniform) {
  const auto task = task_of("induction", {"seqlen=12", "vocab=9"});
  std::vector<double> places(10), successors(8), firsts(8);
  for (std::uint64_t i = 0; i < 8000; ++i) {
    const Sample sample = task->sample(Split::kTest, i);
    const auto place = std::ranges::find(sample.inputs, 8) - sample.inputs.begin();
    ++places.at(static_cast<std::size_t>(place));
    ++successors.at(static_cast<std::size_t>(sample.labels.back()));
    if (place > 0) ++firsts.at(static_cast<std::size_t>(sample.inputs[0]));
  }
  expect_uniform(places, "place of the special token");
  expect_uniform(successors, "successor");
  expect_uniform(firsts, "first token");
}

// At 256 tokens the successor is one of 15 tokens, hardly more frequent than the others.
TEST(InductionTest, ChanceIsThatOfThePaper) {
  const auto found = levels(*task_of("induction"), Split::kTest, 3000);
  ASSERT_EQ(found.size(), 4u);
  EXPECT_DOUBLE_EQ(found[0].accuracy, 1.0 / 15);
  expect_share(found[1].accuracy, 1.0 / 15, 3000, "most frequent label");
  EXPECT_LT(found[2].accuracy, 0.13);
  // Only where the special token is third from the end, 1 of 254 places, is it more than a guess.
  expect_share(found[3].accuracy, 1.0 / 15 + 14.0 / 15 / 254, 3000, "last token");
}

}  // namespace
}  // namespace attnlab::tasks
