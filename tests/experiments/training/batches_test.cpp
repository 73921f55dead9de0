#include "experiments/training/batches.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace attnlab::training {
namespace {

TEST(Batches, ShorterSamplesAreFilledUpWhereACausalModelDoesNotLook) {
  const Batch batch = make_batch({{{5, 6, 7}, {-100, 1, 2}}, {{8}, {3}}});
  EXPECT_TRUE(at::equal(batch.ids, at::tensor({5, 6, 7, 8, 0, 0}, at::kLong).view({2, 3})));
  EXPECT_TRUE(
      at::equal(batch.labels, at::tensor({-100, 1, 2, 3, -100, -100}, at::kLong).view({2, 3})));
}

TEST(Batches, TheOneLabelOfASequenceIsAskedAtItsLastToken) {
  const Batch batch = make_batch({{{5, 6, 7}, {9}}, {{8, 4}, {3}}});
  EXPECT_TRUE(
      at::equal(batch.labels, at::tensor({-100, -100, 9, -100, 3, -100}, at::kLong).view({2, 3})));
}

TEST(TrainingOrder, WithoutALimitEachSampleIsUsedOnce) {
  const TrainingOrder order(0, 0, 3);
  EXPECT_EQ(order.indices(0), (std::vector<std::uint64_t>{0, 1, 2}));
  EXPECT_EQ(order.indices(2), (std::vector<std::uint64_t>{6, 7, 8}));
}

TEST(TrainingOrder, EveryRoundUsesEveryExampleOnceInAnOrderOfItsOwn) {
  constexpr std::int64_t kExamples = 60, kBatch = 4;
  const TrainingOrder order(7, kExamples, kBatch);
  std::set<std::vector<std::uint64_t>> orders;
  for (std::int64_t round = 0; round < 5; ++round) {
    std::vector<std::uint64_t> used;
    for (std::int64_t step = 0; step < kExamples / kBatch; ++step) {
      std::ranges::copy(order.indices(round * kExamples / kBatch + step), std::back_inserter(used));
    }
    orders.insert(used);
    std::ranges::sort(used);
    std::vector<std::uint64_t> all(kExamples);
    std::iota(all.begin(), all.end(), 0u);
    EXPECT_EQ(used, all) << round;
  }
  EXPECT_EQ(orders.size(), 5u);
}

TEST(TrainingOrder, DependsOnTheSeed) {
  EXPECT_NE(TrainingOrder(1, 1000, 8).indices(3), TrainingOrder(2, 1000, 8).indices(3));
  EXPECT_EQ(TrainingOrder(1, 1000, 8).indices(3), TrainingOrder(1, 1000, 8).indices(3));
}

}  // namespace
}  // namespace attnlab::training
