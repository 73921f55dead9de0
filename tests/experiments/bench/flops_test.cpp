#include "experiments/bench/flops.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace attnlab::bench {
namespace {

double counted_pairs(std::int64_t n, bool causal, std::int64_t window) {
  double pairs = 0;
  for (std::int64_t q = 0; q < n; ++q) {
    for (std::int64_t k = 0; k < n; ++k) {
      if (causal && k > q) continue;
      if (window > 0 && q - k >= window) continue;
      ++pairs;
    }
  }
  return pairs;
}

TEST(Flops, VisiblePairsAsCounted) {
  EXPECT_EQ(visible_pairs(7, false, 0), 49);
  for (const std::int64_t n : {1, 2, 7, 20}) {
    EXPECT_EQ(visible_pairs(n, true, 0), counted_pairs(n, true, 0)) << n;
    for (const std::int64_t window : {1, 3, 7, 20, 30}) {
      EXPECT_EQ(visible_pairs(n, true, window), counted_pairs(n, true, window))
          << n << ", " << window;
    }
  }
}

TEST(Flops, AttentionByHand) {
  // Per pair: a dot product of 4 (8 flops) and 4 multiply-adds of a value (8 flops).
  EXPECT_EQ(attention_flops(2, 3, 10, 4), 2 * 3 * 10 * 16);
  EXPECT_EQ(backward_flops(16), 40);
}

TEST(Flops, LinearByHand) {
  // Per token, d = 2: 4 * 2 * 2 for the state, 65 * (2 + 2) for the chunk of 64.
  EXPECT_EQ(linear_flops(1, 1, 64, 2), 64 * (16 + 65 * 4));
  EXPECT_EQ(linear_flops(2, 3, 64, 2), 6 * linear_flops(1, 1, 64, 2));
}

TEST(Flops, CacheBytesOfBothCaches) {
  EXPECT_EQ(cache_bytes(2, 8, 100, 16, 2), 2 * 2 * 8 * 100 * 16 * 2);
}

}  // namespace
}  // namespace attnlab::bench
