#include "experiments/tasks/needle.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>

#include "experiments/tasks/levels.h"
#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

using testing::HasSubstr;

// Ids with 8 tokens of each kind: 0-7 filler, 8-15 keys, 16-23 values, then the markers.
constexpr std::int32_t kBegin = 24, kNeedle = 25, kQuery = 26;
const std::vector<std::string> kEights = {"fillers=8", "keys=8", "values=8"};

std::vector<std::string> with(std::vector<std::string> words) {
  words.insert(words.end(), kEights.begin(), kEights.end());
  return words;
}

TEST(NeedleTest, EverySampleIsAsDefined) {
  EXPECT_TRUE(rc::check([](std::uint32_t seed) {
    const auto needles = *rc::gen::inRange<std::size_t>(1, 5);
    const auto values = *rc::gen::inRange<std::size_t>(1, 4);
    const auto length = 2 + values + needles * (2 + values) + *rc::gen::inRange<std::size_t>(4, 60);
    const auto haystack = *rc::gen::element<std::string>("noise", "random", "needles");
    const auto task = task_of(
        "needle", with({"seqlen=" + std::to_string(length), "needles=" + std::to_string(needles),
                        "value_length=" + std::to_string(values), "haystack=" + haystack,
                        "seed=" + std::to_string(seed)}));
    const Sample sample = task->sample(Split::kTrain, 0);
    const auto& inputs = sample.inputs;
    RC_ASSERT(inputs.size() == length);
    RC_ASSERT(inputs[0] == kBegin);
    RC_ASSERT(inputs[length - values - 1] == kQuery);
    const std::int32_t asked = inputs[length - values];
    std::vector<std::int32_t> answer;
    std::size_t found = 0, needle_count = 0;
    for (std::size_t i = 1; i < length - values - 1; ++i) {
      RC_ASSERT(inputs[i] != kBegin && inputs[i] != kQuery);
      if (inputs[i] != kNeedle) continue;
      ++needle_count;
      if (inputs[i + 1] == asked) {
        ++found;
        answer.assign(inputs.begin() + static_cast<std::ptrdiff_t>(i) + 2,
                      inputs.begin() + static_cast<std::ptrdiff_t>(i + 2 + values));
        RC_ASSERT(*task->evidence(inputs, length - 1) == i + 1);
      }
    }
    RC_ASSERT(found == 1u);
    RC_ASSERT((haystack == "needles" ? needle_count >= needles : needle_count == needles));
    for (std::size_t i = 0; i < length; ++i) {
      if (i < length - values) {
        RC_ASSERT(sample.labels[i] == kNotScored);
      } else {
        RC_ASSERT(sample.labels[i] == answer[i - (length - values)]);
        RC_ASSERT((i + 1 == length || inputs[i + 1] == sample.labels[i]));
      }
    }
  }));
}

TEST(NeedleTest, DepthIsTheShareOfTheHaystackBefore) {
  for (const auto& [depth, before] :
       std::vector<std::pair<std::string, std::size_t>>{{"0", 0}, {"0.5", 50}, {"1", 100}}) {
    // 100 blocks of filler, a needle of three tokens, the question of three.
    const auto task = task_of("needle", with({"seqlen=106", "haystack=random", "depth=" + depth}));
    const Sample sample = task->sample(Split::kTrain, 3);
    EXPECT_EQ(sample.inputs[1 + before], kNeedle) << depth;
  }
}

TEST(NeedleTest, DepthsByChanceAreElevenAsLikely) {
  const auto task = task_of("needle", with({"seqlen=106", "haystack=random"}));
  std::vector<double> depths(11);
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const Sample sample = task->sample(Split::kTest, i);
    const auto place = std::ranges::find(sample.inputs, kNeedle) - sample.inputs.begin() - 1;
    EXPECT_EQ(place % 10, 0);
    ++depths.at(static_cast<std::size_t>(place / 10));
  }
  expect_uniform(depths, "depth");
}

TEST(NeedleTest, NoiseIsOnePhraseOverAndOver) {
  const auto task = task_of("needle", {"seqlen=70", "depth=1"});
  const Sample sample = task->sample(Split::kTest, 0);
  for (std::size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(sample.inputs[1 + i], static_cast<std::int32_t>(i % 16));
  }
}

TEST(NeedleTest, OtherNeedlesHaveEveryOtherKey) {
  const auto task = task_of("needle", with({"seqlen=60", "haystack=needles", "depth=0"}));
  std::vector<double> shifts(7), values(8);
  for (std::uint64_t i = 0; i < 400; ++i) {
    const Sample sample = task->sample(Split::kTrain, i);
    for (std::size_t place = 4; place + 2 < 58; ++place) {
      if (sample.inputs[place] != kNeedle) continue;
      const std::int32_t shift = (sample.inputs[place + 1] - sample.inputs[58 + 1] + 8) % 8;
      ASSERT_GT(shift, 0);
      ++shifts.at(static_cast<std::size_t>(shift - 1));
      ++values.at(static_cast<std::size_t>(sample.inputs[place + 2] - 16));
    }
  }
  expect_uniform(shifts, "other keys");
  expect_uniform(values, "values");
}

TEST(NeedleTest, OneNeedleInNoiseIsAShortcutAndSeveralAreLess) {
  const auto one = levels(*task_of("needle"), Split::kTest, 200);
  EXPECT_DOUBLE_EQ(one[0].accuracy, 1.0 / 64);
  EXPECT_EQ(one[2].accuracy, 1.0);  // whatever follows the only needle
  const auto several =
      levels(*task_of("needle", {"needles=4", "value_length=2"}), Split::kTest, 1000);
  EXPECT_NEAR(several[0].accuracy, 1.0 / 4096, 1e-12);
  // The one that is asked stands last for one of four depths by chance.
  EXPECT_NEAR(several[2].accuracy, 0.25, 0.07);
}

TEST(NeedleTest, ImpossibleKeysAreRefusedInWords) {
  EXPECT_THAT(error_of("needle", {"needles=100"}), HasSubstr("take seqlen=303"));
  EXPECT_THAT(error_of("needle", {"depth=-0.5"}), HasSubstr("or -1"));
  EXPECT_THAT(error_of("needle", {"depth=1.5"}), HasSubstr("float from -1 to 1"));
  EXPECT_THAT(error_of("needle", {"keys=1", "haystack=needles"}), HasSubstr("keys=2"));
}

}  // namespace
}  // namespace attnlab::tasks
