#include "kernels/core/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace attnlab {
namespace {

float16 half(std::uint32_t bits) { return {static_cast<std::uint16_t>(bits)}; }

/// The value of a binary16 from its fields.
double half_value(std::uint32_t bits) {
  const double sign = (bits & 0x8000u) != 0 ? -1.0 : 1.0;
  const int exponent = static_cast<int>((bits >> 10) & 31u);
  const int mantissa = static_cast<int>(bits & 1023u);
  if (exponent == 31) return mantissa == 0 ? sign * HUGE_VAL : std::nan("");
  return exponent == 0 ? sign * std::ldexp(mantissa, -24)
                       : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(DType, Float16IsExactForAllBits) {
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const float value = to_float(half(bits));
    if (std::isnan(half_value(bits))) {
      EXPECT_TRUE(std::isnan(value));
    } else {
      EXPECT_EQ(static_cast<double>(value), half_value(bits)) << bits;
      EXPECT_EQ(to_float16(value).bits, bits);
    }
  }
}

TEST(DType, Float16RoundsToNearestEven) {
  for (std::uint32_t bits = 0; bits < 0x7bffu; ++bits) {
    const double low = half_value(bits);
    const double high = half_value(bits + 1);
    const auto middle = static_cast<float>((low + high) / 2.0);
    EXPECT_EQ(to_float16(middle).bits, bits + (bits & 1u)) << bits;
    EXPECT_EQ(to_float16(std::nextafter(middle, 0.0f)).bits, bits);
    EXPECT_EQ(to_float16(std::nextafter(middle, HUGE_VALF)).bits, bits + 1);
  }
  EXPECT_EQ(to_float16(65519.0f).bits, 0x7bffu);
  EXPECT_EQ(to_float16(65520.0f).bits, 0x7c00u);
  EXPECT_EQ(to_float16(-1e10f).bits, 0xfc00u);
  EXPECT_EQ(to_float16(std::numeric_limits<float>::quiet_NaN()).bits & 0x7e00u, 0x7e00u);
}

TEST(DType, BFloat16RoundsToNearestEven) {
  EXPECT_EQ(to_bfloat16(1.0f).bits, 0x3f80u);
  EXPECT_EQ(to_bfloat16(1.0f + 0x1p-8f).bits, 0x3f80u);
  EXPECT_EQ(to_bfloat16(1.0f + 0x1p-8f + 0x1p-20f).bits, 0x3f81u);
  EXPECT_EQ(to_bfloat16(1.0f + 3 * 0x1p-8f).bits, 0x3f82u);
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::max()).bits, 0x7f80u);
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::nanf("")))));
}

}  // namespace
}  // namespace attnlab
