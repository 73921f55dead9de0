#include "kernels/core/feature_map.h"

#include <gtest/gtest.h>

#include <limits>

namespace attnlab {
namespace {

double value(FeatureMapKind kind, double x) {
  return dispatch_feature_map(kind, [&](auto map) { return map.map(x); });
}

double slope(FeatureMapKind kind, double x) {
  return dispatch_feature_map(kind,
                              [&](auto map) { return map.derivative_from_value(map.map(x)); });
}

TEST(FeatureMap, HandComputedValues) {
  EXPECT_EQ(value(FeatureMapKind::kElu, 2.0), 3.0);
  EXPECT_EQ(value(FeatureMapKind::kElu, 0.0), 1.0);
  EXPECT_NEAR(value(FeatureMapKind::kElu, -1.0), std::exp(-1.0), 1e-15);
  EXPECT_EQ(value(FeatureMapKind::kRelu, -2.0), 0.0);
  EXPECT_EQ(value(FeatureMapKind::kRelu, 2.0), 2.0);
  EXPECT_EQ(value(FeatureMapKind::kIdentity, -2.0), -2.0);
}

TEST(FeatureMap, DerivativeEqualsFiniteDifference) {
  for (const FeatureMapKind kind :
       {FeatureMapKind::kElu, FeatureMapKind::kRelu, FeatureMapKind::kIdentity}) {
    for (double x = -3.05; x <= 3.0; x += 0.1) {
      constexpr double kStep = 1e-6;
      const double difference = (value(kind, x + kStep) - value(kind, x - kStep)) / (2.0 * kStep);
      EXPECT_NEAR(slope(kind, x), difference, 1e-8) << x;
    }
  }
}

TEST(FeatureMap, ExtremeInputs) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(value(FeatureMapKind::kElu, -kInfinity), 0.0);
  EXPECT_EQ(value(FeatureMapKind::kElu, 1e300), 1e300);
  for (const FeatureMapKind kind :
       {FeatureMapKind::kElu, FeatureMapKind::kRelu, FeatureMapKind::kIdentity}) {
    EXPECT_TRUE(std::isnan(value(kind, std::nan(""))));
  }
}

}  // namespace
}  // namespace attnlab
