#include "experiments/measure/random.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <vector>

namespace attnlab::measure {
namespace {

std::vector<float> normal(std::size_t count, std::uint64_t seed, std::uint64_t stream) {
  std::vector<float> values(count);
  fill_normal(values, seed, stream);
  return values;
}

TEST(RandomTest, MomentsAreThoseOfANormal) {
  constexpr std::size_t kCount = 200'000;
  double sum = 0;
  double square = 0;
  double fourth = 0;
  for (const double x : normal(kCount, 3, 1)) {
    sum += x / kCount;
    square += x * x / kCount;
    fourth += x * x * x * x / kCount;
  }
  // Standard errors: 1/sqrt(n), sqrt(2/n), sqrt(96/n); five of them allowed.
  EXPECT_NEAR(sum, 0, 5 / std::sqrt(kCount));
  EXPECT_NEAR(square, 1, 5 * std::sqrt(2.0 / kCount));
  EXPECT_NEAR(fourth, 3, 5 * std::sqrt(96.0 / kCount));
}

TEST(RandomTest, SameBitsForAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = normal(100'001, 7, 2);
  at::set_num_threads(3);
  const auto three = normal(100'001, 7, 2);
  at::set_num_threads(threads);
  EXPECT_EQ(std::memcmp(one.data(), three.data(), one.size() * sizeof(float)), 0);
}

TEST(RandomTest, ALongerStreamBeginsWithTheShorterOne) {
  const auto longer = normal(1001, 7, 2);
  const auto shorter = normal(500, 7, 2);
  EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), longer.begin()));
}

TEST(RandomTest, SeedsStreamsAndPlacesDiffer) {
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (std::uint64_t stream = 0; stream < 20; ++stream) {
      for (std::uint64_t index = 0; index < 20; ++index) {
        seen.insert(random_bits(seed, stream, index));
      }
    }
  }
  EXPECT_EQ(seen.size(), 8000u);
  EXPECT_NE(normal(10, 0, 1), normal(10, 1, 1));
  EXPECT_NE(normal(10, 0, 1), normal(10, 0, 2));
}

}  // namespace
}  // namespace attnlab::measure
