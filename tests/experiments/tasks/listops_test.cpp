#include "experiments/tasks/listops.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "experiments/tasks/levels.h"
#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

using testing::HasSubstr;

/// Reads an expression back from the texts of its tokens, with a grammar of its own.
class Reader {
 public:
  Reader(const Task& task, const std::vector<std::int32_t>& ids) {
    const auto vocabulary = task.vocabulary();
    for (const std::int32_t id : ids) words_.push_back(vocabulary.at(static_cast<std::size_t>(id)));
  }

  int value() {
    const int result = read(1);
    EXPECT_EQ(place_, words_.size());
    return result;
  }
  int depth() const { return depth_; }
  const std::map<std::size_t, double>& arguments() const { return arguments_; }

 private:
  int read(int depth) {
    depth_ = std::max(depth_, depth);
    const std::string word = words_.at(place_++);
    if (word.size() == 1 && word[0] >= '0' && word[0] <= '9') return word[0] - '0';
    std::vector<int> values;
    while (words_.at(place_) != "]") values.push_back(read(depth + 1));
    ++place_;
    ++arguments_[values.size()];
    std::ranges::sort(values);
    if (word == "[MIN") return values.front();
    if (word == "[MAX") return values.back();
    if (word == "[SM") return std::accumulate(values.begin(), values.end(), 0) % 10;
    EXPECT_EQ(word, "[MED");
    // numpy.median is the mean of the two in the middle; int() cuts its fraction.
    const std::size_t n = values.size();
    return static_cast<int>(0.5 * (values[(n - 1) / 2] + values[n / 2]));
  }

  std::vector<std::string> words_;
  std::size_t place_ = 0;
  int depth_ = 0;
  std::map<std::size_t, double> arguments_;
};

void expect_consistent(const std::vector<std::string>& words, std::size_t min_length,
                       std::size_t max_length, int max_depth, std::size_t max_args) {
  const auto task = task_of("listops", words);
  for (std::uint64_t i = 0; i < 40; ++i) {
    const Sample sample = task->sample(Split::kTrain, i);
    EXPECT_GT(sample.inputs.size(), min_length);
    EXPECT_LT(sample.inputs.size(), max_length);
    ASSERT_EQ(sample.labels.size(), 1u);
    Reader reader(*task, sample.inputs);
    EXPECT_EQ(reader.value(), sample.labels[0]);
    EXPECT_LE(reader.depth(), max_depth);
    for (const auto& [count, times] : reader.arguments()) {
      EXPECT_GE(count, 2u);
      EXPECT_LE(count, max_args);
    }
  }
}

TEST(ListOpsTest, LabelsAreTheValuesOfTheExpressions) {
  expect_consistent({}, 500, 2000, 10, 10);
  expect_consistent({"min_length=16", "max_length=64", "max_depth=4", "max_args=5"}, 16, 64, 4, 5);
  expect_consistent({"min_length=64", "max_length=256", "max_depth=6", "max_args=5"}, 64, 256, 6,
                    5);
}

TEST(ListOpsTest, VocabularyIsDigitsOperatorsAndTheEnd) {
  EXPECT_EQ(task_of("listops")->vocabulary(),
            (std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "[MIN",
                                      "[MAX", "[MED", "[SM", "]"}));
}

// Two levels, so an operator and its digits; more than 5 tokens, so at least 4 digits: there are
// enough such expressions for each part to have the law of them all.
TEST(ListOpsTest, OperatorsArgumentsAndDigitsAreUniform) {
  const auto task = task_of("listops", {"min_length=5", "max_length=1000", "max_depth=2"});
  std::vector<double> arguments(7), operators(4), first(10), last(10);
  for (std::uint64_t i = 0; i < 8000; ++i) {
    const Sample sample = task->sample(Split::kTest, i);
    ++arguments.at(sample.inputs.size() - 6);
    ++operators.at(static_cast<std::size_t>(sample.inputs[0] - 10));
    ++first.at(static_cast<std::size_t>(sample.inputs[1]));
    ++last.at(static_cast<std::size_t>(sample.inputs[sample.inputs.size() - 2]));
  }
  expect_uniform(arguments, "number of arguments");
  expect_uniform(operators, "operator");
  expect_uniform(first, "first digit");
  expect_uniform(last, "last digit");
}

// E[length at depth d] = 3/4 + 1/4 (2 + E[arguments] E[length at depth d + 1]).
TEST(ListOpsTest, MeanLengthIsThatOfTheBranchingLaw) {
  double mean = 1;
  for (int depth = 9; depth >= 1; --depth) mean = 0.75 + 0.25 * (2 + 6 * mean);
  // Given that the root is an operator, which min_length=1 asks for.
  const double longer_than_1 = (mean - 0.75) / 0.25;
  const auto task = task_of("listops", {"min_length=1", "max_length=10000000"});
  double sum = 0, squares = 0;
  constexpr int kSamples = 4000;
  for (std::uint64_t i = 0; i < kSamples; ++i) {
    const auto length = static_cast<double>(task->sample(Split::kTrain, i).inputs.size());
    sum += length;
    squares += length * length;
  }
  const double deviation = std::sqrt(squares / kSamples - sum / kSamples * sum / kSamples);
  EXPECT_NEAR(sum / kSamples, longer_than_1, 5 * deviation / std::sqrt(kSamples));
}

TEST(ListOpsTest, ShortcutsAreBelowTheTruthAndAboveChance) {
  const auto task =
      task_of("listops", {"min_length=16", "max_length=64", "max_depth=4", "max_args=5"});
  const auto found = levels(*task, Split::kTest, 2000);
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0].accuracy, 0.1);
  EXPECT_EQ(found[2].name, "root_operator");
  EXPECT_GT(found[1].accuracy, found[0].accuracy);
  EXPECT_GT(found[2].accuracy, found[1].accuracy + 0.05);
  EXPECT_GT(found[3].accuracy, found[2].accuracy);
  EXPECT_LT(found[3].accuracy, 0.9);
}

TEST(ListOpsTest, ImpossibleLengthsAreRefusedInWords) {
  EXPECT_THAT(error_of("listops", {"min_length=10", "max_length=11"}), HasSubstr("max_length=12"));
  EXPECT_THAT(error_of("listops", {"max_depth=2"}), HasSubstr("at most 12 tokens"));
  // Two levels of two arguments have 1 or 4 tokens.
  EXPECT_THAT(error_of("listops", {"min_length=1", "max_length=4", "max_depth=2", "max_args=2"}),
              HasSubstr("none of 1000000"));
}

}  // namespace
}  // namespace attnlab::tasks
