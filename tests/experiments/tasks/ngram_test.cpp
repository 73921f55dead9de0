#include "experiments/tasks/ngram.h"

#include <gtest/gtest.h>

#include <cmath>

#include "experiments/tasks/registry.h"

namespace attnlab::tasks {
namespace {

constexpr std::int32_t kA = 'a', kB = 'b', kC = 'c';

TEST(NgramModel, WittenBellByHand) {
  NgramModel model(1);
  const std::vector<std::int32_t> seen = {kA, kB, kA, kB, kA, kA};
  model.fit(seen);
  // Without context: a 4 of 6, two kinds: (4 + 2/256) / 8; after a: b 2 and a 1 of 3, two kinds.
  const double a = (4 + 2.0 / 256) / 8, b = (2 + 2.0 / 256) / 8, c = (0 + 2.0 / 256) / 8;
  EXPECT_DOUBLE_EQ(model.probability(std::vector<std::int32_t>{kA}, 0), a);
  EXPECT_DOUBLE_EQ(model.probability(std::vector<std::int32_t>{kA, kB}, 1), (2 + 2 * b) / 5);
  EXPECT_DOUBLE_EQ(model.probability(std::vector<std::int32_t>{kA, kC}, 1), (0 + 2 * c) / 5);
  // c was never seen: what follows it is as without context.
  EXPECT_DOUBLE_EQ(model.probability(std::vector<std::int32_t>{kC, kA}, 1), a);
}

TEST(NgramModel, ProbabilitiesOfAllBytesAddUpToOne) {
  NgramModel model(3);
  std::vector<std::int32_t> seen;
  for (int i = 0; i < 300; ++i) seen.push_back((i * i) % 7);
  model.fit(seen);
  for (const std::size_t position : {0u, 1u, 2u, 5u}) {
    std::vector<std::int32_t> text(seen.begin(), seen.begin() + 10);
    double sum = 0;
    for (std::int32_t byte = 0; byte < 256; ++byte) {
      text[position] = byte;
      sum += model.probability(text, position);
    }
    EXPECT_NEAR(sum, 1, 1e-12) << position;
  }
}

TEST(NgramModel, ALongerContextExplainsMoreOfTheBook) {
  const auto task = make_task("text", {{"seqlen", std::int64_t{256}}});
  double before = 8;
  for (const int context : {0, 1, 2, 3}) {
    const double bits = ngram_bits_per_byte(*task, context, Split::kTest, 40);
    EXPECT_LT(bits, before) << context;
    before = bits;
  }
  EXPECT_GT(before, 1.5);
}

TEST(NgramModel, TheCorpusIsThePartAndNoOther) {
  const auto task = make_task("text", {});
  const std::vector<std::int32_t> test = task->corpus(Split::kTest);
  const Sample window = task->sample(Split::kTest, 1);
  EXPECT_TRUE(std::equal(window.inputs.begin(), window.inputs.end(), test.begin() + 256));
  EXPECT_GT(task->corpus(Split::kTrain).size(), 15 * test.size());
  EXPECT_TRUE(make_task("mqar", {})->corpus(Split::kTrain).empty());
}

}  // namespace
}  // namespace attnlab::tasks
