// NaN and infinities: hidden ones stay hidden, visible ones stay visible.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/cuda/hopper/hopper_case.h"

namespace attnlab::testing {
namespace {

/// Results are those of the same problem with `value` replaced by 0 in what nobody may see.
void expect_hidden(const MaskOptions& mask, std::int64_t row, double value) {
  HopperCase clean(half_shape(1, 1, 1, 150, 280, 64, 64), mask);
  HopperCase dirty(clean.shape, mask);
  for (HopperCase* c : {&clean, &dirty}) {
    const double x = c == &clean ? 0.0 : value;
    c->k.fill_row(row, x);
    c->v.fill_row(row, x);
    c->run();
  }
  for (std::int64_t q = 0; q < 150; ++q) {
    const bool sees = reference_visible(clean.shape, mask, 0, q, row);
    for (std::int64_t i = 0; i < 64; ++i) {
      const double out = dirty.out.get(0, 0, q, i);
      if (sees) {
        ASSERT_FALSE(std::isfinite(out)) << "query " << q << " sees row " << row;
      } else {
        ASSERT_EQ(out, clean.out.get(0, 0, q, i)) << "query " << q << " does not see row " << row;
      }
    }
  }
}

TEST(HopperFlashMasking, HiddenNanAndInfinityStayHidden) {
  for (const std::int64_t row : {0, 127, 140, 200, 279}) {
    expect_hidden({true}, row, kNan);
    expect_hidden({false, 20, 10}, row, kInfinity);
  }
  HopperCase c(half_shape(2, 1, 1, 70, 200, 64, 64), {});
  c.use_seqlens({150, 10});
  c.k.fill_row(160, kNan);
  c.v.fill_row(160, kNan);
  c.v.fill_row(199, -kInfinity);
  c.run();
  for (const double x : c.out.values()) EXPECT_TRUE(std::isfinite(x));
}

TEST(HopperFlashMasking, VisibleValuesStayWhatTheyAre) {
  // One column of one value, in a partial block of the diagonal: keys are finite.
  for (const double value : {kNan, kInfinity, -kInfinity}) {
    HopperCase c(half_shape(1, 1, 1, 140, 140, 64, 64), {true});
    HopperCase clean(c.shape, c.mask);
    c.v.set(0, 0, 100, 37, value);
    c.run();
    clean.run();
    for (std::int64_t q = 0; q < 140; ++q) {
      for (std::int64_t i = 0; i < 64; ++i) {
        const double out = c.out.get(0, 0, q, i);
        if (i != 37 || q < 100) {
          ASSERT_EQ(out, clean.out.get(0, 0, q, i)) << q << ", " << i;
        } else if (std::isnan(value)) {
          ASSERT_TRUE(std::isnan(out)) << q;
        } else {
          ASSERT_EQ(out, value) << q;
        }
      }
    }
  }
}

}  // namespace
}  // namespace attnlab::testing
