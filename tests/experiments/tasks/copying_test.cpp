#include "experiments/tasks/copying.h"

#include <gmock/gmock.h>

#include <set>

#include "experiments/tasks/levels.h"
#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

using testing::HasSubstr;

std::string text_of(const Task& task, const std::vector<std::int32_t>& ids) {
  const auto vocabulary = task.vocabulary();
  std::string text;
  for (const std::int32_t id : ids) text += vocabulary.at(static_cast<std::size_t>(id));
  return text;
}

/// The answered text: the labels that are scored, as letters.
std::string answered(const Task& task, const Sample& sample, std::size_t begin, std::size_t end) {
  const auto vocabulary = task.vocabulary();
  std::string text;
  for (std::size_t i = begin; i < end; ++i) {
    const std::int32_t label = sample.labels[i];
    text += label == kNotScored ? "_" : vocabulary.at(static_cast<std::size_t>(label));
  }
  return text;
}

/// One string with its question, checked with the tools of std::string. Returns its letters.
std::string check_question(const std::string& kind, const std::string& text,
                           const std::string& labels, std::size_t ngram,
                           std::size_t answer_length) {
  const std::size_t bar = text.find('|');
  EXPECT_EQ(text.front(), '$');
  EXPECT_EQ(text.back(), '.');
  std::string letters = text.substr(1, bar - 1), question = text.substr(bar + 1);
  if (kind == "prefix") {
    const std::size_t second = text.rfind('|');
    letters = text.substr(bar + 1, second - bar - 1);
    question = text.substr(second + 1);
  }
  std::string answer = letters;
  if (kind != "copy") {
    const std::string key = kind == "prefix" ? text.substr(1, ngram) : question.substr(0, ngram);
    EXPECT_NE(letters.find(key), std::string::npos) << text;
    answer = letters.substr(letters.find(key) + ngram);
    if (answer_length > 0) answer = answer.substr(0, answer_length);
    EXPECT_FALSE(answer.empty()) << text;
  } else if (answer_length > 0) {
    answer = answer.substr(0, answer_length);
  }
  const std::string asked = (kind == "suffix" ? question.substr(ngram) : question);
  EXPECT_EQ(asked, answer + ".") << text;
  // The label at each place is the token at the next; only the answer and its end have one.
  const std::string scored = answer + ".";
  EXPECT_EQ(labels, std::string(text.size() - scored.size() - 1, '_') + scored + "_") << text;
  return letters;
}

class Kinds : public testing::TestWithParam<std::string> {};

TEST_P(Kinds, OneStringIsAskedForAndPaddedToTheContext) {
  for (const std::size_t answer_length : {0u, 5u}) {
    const auto task = task_of("copying", {"kind=" + GetParam(), "pack=false", "context=120",
                                          "answer_length=" + std::to_string(answer_length)});
    for (std::uint64_t i = 0; i < 60; ++i) {
      const Sample sample = task->sample(Split::kTest, i);
      ASSERT_EQ(sample.inputs.size(), 120u);
      const std::string text = text_of(*task, sample.inputs);
      const std::size_t end = text.find('.') + 1;
      EXPECT_EQ(text.substr(end), std::string(120 - end, '*'));
      EXPECT_EQ(answered(*task, sample, end, 120), std::string(120 - end, '_'));
      // The label of the last place, "." itself, is that of padding: none.
      const std::string letters = check_question(GetParam(), text.substr(0, end),
                                                 answered(*task, sample, 0, end), 3, answer_length);
      EXPECT_GE(letters.size(), 20u);
      EXPECT_LE(letters.size(), 50u);
    }
  }
}

TEST_P(Kinds, PackedStringsFillTheContextAndTheCutOneIsNotAsked) {
  const auto task = task_of("copying", {"kind=" + GetParam()});
  std::size_t strings = 0;
  for (std::uint64_t i = 0; i < 60; ++i) {
    const Sample sample = task->sample(Split::kTrain, i);
    const std::string text = text_of(*task, sample.inputs);
    ASSERT_EQ(text.size(), 220u);
    std::size_t begin = 0;
    for (std::size_t end = text.find('.') + 1; end != 0; end = text.find('.', begin) + 1) {
      check_question(GetParam(), text.substr(begin, end - begin),
                     answered(*task, sample, begin, end), 3, 0);
      begin = end;
      ++strings;
    }
    EXPECT_EQ(answered(*task, sample, begin, 220), std::string(220 - begin, '_'));
  }
  EXPECT_GT(strings, 90u);
}

INSTANTIATE_TEST_SUITE_P(All, Kinds, testing::Values("copy", "prefix", "suffix"),
                         [](const auto& test) { return test.param; });

TEST(CopyingTest, LengthsAndLettersAreUniform) {
  const auto task = task_of("copying", {"pack=false"});
  std::vector<double> lengths(31), letters(26), last(26);
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const Sample sample = task->sample(Split::kTrain, i);
    const auto bar =
        static_cast<std::size_t>(std::ranges::find(sample.inputs, 27) - sample.inputs.begin());
    ++lengths.at(bar - 1 - 20);
    ++letters.at(static_cast<std::size_t>(sample.inputs[1]));
    ++last.at(static_cast<std::size_t>(sample.inputs[bar - 1]));
  }
  expect_uniform(lengths, "length");
  expect_uniform(letters, "first letter");
  expect_uniform(last, "last letter");
}

// The key's place is uniform in [0, length - ngram - 3], the range of the published generator.
TEST(CopyingTest, PlacesOfKeysAreUniform) {
  const auto task = task_of(
      "copying", {"kind=suffix", "pack=false", "min_length=20", "max_length=20", "letters=1000"});
  std::vector<double> places(15);
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const Sample sample = task->sample(Split::kTrain, i);
    const auto key = sample.inputs[22];
    const auto found = std::ranges::find(sample.inputs, key) - sample.inputs.begin();
    ++places.at(static_cast<std::size_t>(found - 1));
  }
  expect_uniform(places, "place of the key");
}

// Whatever sample a string stands in, its part is that of the string.
TEST(CopyingTest, NoStringOfThePackedTrainingPartIsInTheTest) {
  const std::vector<std::string> small = {"min_length=4", "max_length=5", "letters=4"};
  std::set<std::string> train, test;
  const auto collect = [&](Split split, const char* pack, std::set<std::string>& strings) {
    auto words = small;
    words.emplace_back(pack);
    const auto task = task_of("copying", words);
    for (std::uint64_t i = 0; i < 300; ++i) {
      const std::string text = text_of(*task, task->sample(split, i).inputs);
      for (std::size_t begin = 0; text.find('|', begin) != std::string::npos;) {
        const std::size_t bar = text.find('|', begin);
        strings.insert(text.substr(begin + 1, bar - begin - 1));
        begin = text.find('.', bar) + 1;
        if (begin == 0) break;
      }
    }
  };
  collect(Split::kTrain, "pack=true", train);
  collect(Split::kTest, "pack=false", test);
  EXPECT_GT(train.size(), 400u);
  EXPECT_GT(test.size(), 150u);
  for (const std::string& text : test) EXPECT_FALSE(train.contains(text)) << text;
}

TEST(CopyingTest, LevelsCountWholeStrings) {
  const auto found = levels(*task_of("copying", {"pack=false"}), Split::kTest, 500);
  ASSERT_EQ(found.size(), 4u);
  EXPECT_LT(found[0].accuracy, 1e-20);
  EXPECT_EQ(found[1].accuracy, 0);
  EXPECT_EQ(found[2].accuracy, 0);  // some letter stands twice in almost every string
}

TEST(CopyingTest, ImpossibleKeysAreRefusedInWords) {
  EXPECT_THAT(error_of("copying", {"min_length=60"}), HasSubstr("more than max_length=50"));
  EXPECT_THAT(error_of("copying", {"kind=suffix", "ngram=20"}), HasSubstr("min_length from 23"));
  EXPECT_THAT(error_of("copying", {"context=100"}), HasSubstr("context=104"));
  EXPECT_THAT(error_of("copying", {"kind=sufix"}), HasSubstr("Did you mean 'suffix'?"));
}

}  // namespace
}  // namespace attnlab::tasks
