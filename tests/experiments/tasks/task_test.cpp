// Properties of every registered task.
#include "experiments/tasks/task.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "tests/experiments/tasks/support.h"

namespace attnlab::tasks {
namespace {

constexpr Split kSplits[] = {Split::kTrain, Split::kValidation, Split::kTest};

std::uint64_t count_of(const Task& task, Split split, std::uint64_t wanted) {
  return std::min(wanted, task.size(split));
}

class EveryTask : public testing::TestWithParam<std::string> {};

TEST_P(EveryTask, SamplesAreWellFormed) {
  const auto task = task_of(GetParam());
  const auto vocab = static_cast<std::int32_t>(task->vocabulary().size());
  for (const Split split : kSplits) {
    for (std::uint64_t i = 0; i < count_of(*task, split, 20); ++i) {
      const Sample sample = task->sample(split, i);
      ASSERT_FALSE(sample.inputs.empty());
      ASSERT_TRUE(sample.labels.size() == sample.inputs.size() || sample.labels.size() == 1);
      for (const std::int32_t token : sample.inputs) {
        ASSERT_GE(token, 0);
        ASSERT_LT(token, vocab);
      }
      EXPECT_TRUE(
          std::ranges::any_of(sample.labels, [](auto label) { return label != kNotScored; }));
      for (const std::int32_t label : sample.labels) {
        ASSERT_TRUE(label == kNotScored || (label >= 0 && label < vocab)) << label;
      }
    }
  }
}

TEST_P(EveryTask, VocabularyHasOneLineATokenAndNoneTwice) {
  const auto vocabulary = task_of(GetParam())->vocabulary();
  EXPECT_EQ(std::set<std::string>(vocabulary.begin(), vocabulary.end()).size(), vocabulary.size());
  for (const std::string& token : vocabulary) {
    EXPECT_FALSE(token.empty());
    EXPECT_EQ(token.find('\n'), std::string::npos);
  }
}

TEST_P(EveryTask, ASampleDependsOnItsIndexAlone) {
  const auto task = task_of(GetParam()), again = task_of(GetParam());
  const std::uint64_t count = count_of(*task, Split::kTrain, 12);
  std::vector<Sample> forwards(count), backwards(count);
  for (std::uint64_t i = 0; i < count; ++i) forwards[i] = task->sample(Split::kTrain, i);
  for (std::uint64_t i = count; i-- > 0;) backwards[i] = again->sample(Split::kTrain, i);
  EXPECT_EQ(forwards, backwards);

  std::vector<Sample> threaded(count);
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = t; i < count; i += 3) threaded[i] = task->sample(Split::kTrain, i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(forwards, threaded);
}

TEST_P(EveryTask, SeedsDiffer) {
  std::set<std::vector<std::int32_t>> first;
  for (const char* seed : {"seed=0", "seed=1", "seed=2"}) {
    first.insert(task_of(GetParam(), {seed})->sample(Split::kTrain, 0).inputs);
  }
  EXPECT_EQ(first.size(), 3u);
}

TEST_P(EveryTask, PartsNeverMeet) {
  std::map<std::vector<std::int32_t>, Split> seen;
  for (const char* seed : {"seed=0", "seed=1"}) {
    const auto task = task_of(GetParam(), {seed});
    for (const Split split : kSplits) {
      for (std::uint64_t i = 0; i < count_of(*task, split, 60); ++i) {
        const auto [entry, is_new] = seen.try_emplace(task->sample(split, i).inputs, split);
        EXPECT_EQ(entry->second, split);
      }
    }
  }
}

TEST_P(EveryTask, ShortcutsHaveDifferentNamesAndSomeHelp) {
  std::set<std::string> names = {"chance", "most_frequent"};
  const auto shortcuts = task_of(GetParam())->shortcuts();
  for (const Shortcut& shortcut : shortcuts) {
    EXPECT_TRUE(names.insert(shortcut.name).second) << shortcut.name;
    EXPECT_FALSE(shortcut.help.empty()) << shortcut.name;
  }
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const TaskEntry& entry : builtin_tasks()) all.push_back(entry.name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Builtin, EveryTask, testing::ValuesIn(names()),
                         [](const auto& test) { return test.param; });

// So few contents that every one is seen: the parts share none of them, and all of them are used.
TEST(SplitTest, SmallWorldsAreSharedOutWithoutOverlap) {
  std::set<std::vector<std::int32_t>> all;
  std::size_t parts = 0;
  for (const Split split : kSplits) {
    std::set<std::vector<std::int32_t>> part;
    for (const char* seed : {"seed=0", "seed=5"}) {
      const auto task = task_of("listops", {"min_length=3", "max_length=5", "max_depth=2", seed});
      for (std::uint64_t i = 0; i < 3000; ++i) part.insert(task->sample(split, i).inputs);
    }
    parts += part.size();
    all.insert(part.begin(), part.end());
  }
  EXPECT_EQ(all.size(), 400u);  // four operators, two digits
  EXPECT_EQ(parts, all.size());
}

class OneContent : public GeneratedTask {
 public:
  OneContent() : GeneratedTask("one_content", 0) {}
  std::vector<std::string> vocabulary() const override { return {"a", "b"}; }
  std::int64_t answers() const override { return 2; }

 protected:
  std::optional<Sample> draw(Random&, Split split) const override {
    return keep_if(split, {{1, 0, 1}, {0}});
  }
};

TEST(SplitTest, AWorldTooSmallForAPartIsSaid) {
  const OneContent task;
  int refused = 0;
  for (const Split split : kSplits) {
    try {
      task.sample(split, 0);
    } catch (const ConfigError& error) {
      ++refused;
      EXPECT_THAT(error.what(), testing::HasSubstr("so few different samples"));
      EXPECT_THAT(error.what(), testing::HasSubstr(split_name(split)));
    }
  }
  EXPECT_EQ(refused, 2);
}

TEST(RegistryTest, UnknownTasksGetTheNearestName) {
  try {
    task_entry("listop");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("Did you mean 'listops'?"));
    EXPECT_THAT(error.what(), testing::HasSubstr("mqar"));
  }
}

}  // namespace
}  // namespace attnlab::tasks
