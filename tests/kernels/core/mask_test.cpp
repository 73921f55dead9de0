#include "kernels/core/mask.h"

#include <gtest/gtest.h>

namespace attnlab {
namespace {

/// What the header says, written out once more.
bool visible(const Mask& m, std::int64_t q, std::int64_t k) {
  const std::int64_t diagonal = q + m.seqlen_k - m.seqlen_q;
  if (m.causal ? k > diagonal : m.window_right >= 0 && k > diagonal + m.window_right) return false;
  return m.window_left < 0 || k >= diagonal - m.window_left;
}

template <class F>
void for_each_mask(std::int64_t longest, const F& check) {
  for (std::int64_t nq = 1; nq <= longest; ++nq) {
    for (std::int64_t nk = 0; nk <= longest; ++nk) {
      for (const bool causal : {false, true}) {
        for (const std::int64_t left : {-1, 0, 1, 2, 20}) {
          for (const std::int64_t right : {-1, 0, 1, 3}) check(Mask{nq, nk, causal, left, right});
        }
      }
    }
  }
}

TEST(Mask, KeepsFollowsTheDefinition) {
  for_each_mask(6, [](const Mask& m) {
    for (std::int64_t q = 0; q < m.seqlen_q; ++q) {
      for (std::int64_t k = 0; k < m.seqlen_k; ++k) EXPECT_EQ(m.keeps(q, k), visible(m, q, k));
      EXPECT_FALSE(m.keeps(q, -1));
      EXPECT_FALSE(m.keeps(q, m.seqlen_k));
    }
  });
}

TEST(Mask, KeyRangeIsTheHullOfVisibleKeys) {
  for_each_mask(6, [](const Mask& m) {
    for (std::int64_t a = 0; a < m.seqlen_q; ++a) {
      for (std::int64_t b = a + 1; b <= m.seqlen_q; ++b) {
        const IndexRange range = m.key_range(a, b);
        for (std::int64_t k = 0; k < m.seqlen_k; ++k) {
          bool seen = false;
          for (std::int64_t q = a; q < b; ++q) seen = seen || visible(m, q, k);
          EXPECT_EQ(seen, k >= range.begin && k < range.end);
        }
      }
    }
  });
}

TEST(Mask, QueryRangeIsTheHullOfSeeingQueries) {
  for_each_mask(6, [](const Mask& m) {
    for (std::int64_t a = 0; a < m.seqlen_k; ++a) {
      for (std::int64_t b = a + 1; b <= m.seqlen_k + 2; ++b) {
        const IndexRange range = m.query_range(a, b);
        for (std::int64_t q = 0; q < m.seqlen_q; ++q) {
          bool sees = false;
          for (std::int64_t k = a; k < b && k < m.seqlen_k; ++k) sees = sees || visible(m, q, k);
          EXPECT_EQ(sees, q >= range.begin && q < range.end);
        }
      }
    }
  });
}

TEST(Mask, ClassifyCountsTheTile) {
  for_each_mask(5, [](const Mask& m) {
    for (std::int64_t q0 = 0; q0 < m.seqlen_q; ++q0) {
      for (std::int64_t q1 = q0 + 1; q1 <= m.seqlen_q; ++q1) {
        for (std::int64_t k0 = 0; k0 < m.seqlen_k; ++k0) {
          for (std::int64_t k1 = k0 + 1; k1 <= m.seqlen_k + 1; ++k1) {
            std::int64_t kept = 0;
            for (std::int64_t q = q0; q < q1; ++q) {
              for (std::int64_t k = k0; k < k1; ++k) kept += k < m.seqlen_k && visible(m, q, k);
            }
            const TileKind expected = kept == 0                       ? TileKind::kSkip
                                      : kept == (q1 - q0) * (k1 - k0) ? TileKind::kFull
                                                                      : TileKind::kPartial;
            EXPECT_EQ(m.classify(q0, q1, k0, k1), expected);
          }
        }
      }
    }
  });
}

TEST(Mask, VisiblePairsIsTheNumberOfKeptPairs) {
  for_each_mask(7, [](const Mask& m) {
    std::int64_t kept = 0;
    for (std::int64_t q = 0; q < m.seqlen_q; ++q) {
      for (std::int64_t k = 0; k < m.seqlen_k; ++k) kept += visible(m, q, k);
    }
    EXPECT_EQ(m.visible_pairs(), kept);
  });
}

TEST(Mask, CausalIsBottomRightAligned) {
  const Mask wide{2, 4, true};
  EXPECT_TRUE(wide.keeps(0, 2));
  EXPECT_FALSE(wide.keeps(0, 3));
  EXPECT_TRUE(wide.keeps(1, 3));
  const Mask tall{3, 1, true};
  EXPECT_TRUE(tall.key_range(0, 2).empty());
  EXPECT_EQ(tall.key_range(2, 3), (IndexRange{0, 1}));
}

}  // namespace
}  // namespace attnlab
