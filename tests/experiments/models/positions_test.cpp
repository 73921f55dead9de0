#include "experiments/models/positions.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/core/error.h"

namespace attnlab {
namespace {

using testing::HasSubstr;

at::Tensor random_heads(std::int64_t seqlen, std::int64_t head_dim, std::uint64_t seed) {
  return at::randn({2, 3, seqlen, head_dim}, at::detail::createCPUGenerator(seed),
                   at::TensorOptions().dtype(at::kDouble));
}

TEST(Positions, NamesReadBackAndMistakesGetTheNearest) {
  for (const Positions positions :
       {Positions::kNone, Positions::kLearned, Positions::kSinusoidal, Positions::kRotary}) {
    EXPECT_EQ(parse_positions(positions_name(positions)), positions);
  }
  try {
    parse_positions("rotry");
    FAIL() << "no error";
  } catch (const ConfigError &error) {
    EXPECT_THAT(error.what(), HasSubstr("Did you mean 'rotary'?"));
  }
}

TEST(SinusoidalTable, IsTheFormulaOfThePaper) {
  const auto options = at::TensorOptions().dtype(at::kDouble);
  const at::Tensor table = sinusoidal_table(7, 6, options);
  ASSERT_EQ(table.sizes(), (std::vector<std::int64_t>{7, 6}));
  for (int p = 0; p < 7; ++p) {
    for (int i = 0; i < 3; ++i) {
      const double angle = p / std::pow(10000.0, 2.0 * i / 6.0);
      EXPECT_NEAR(table[p][2 * i].item<double>(), std::sin(angle), 1e-15);
      EXPECT_NEAR(table[p][2 * i + 1].item<double>(), std::cos(angle), 1e-15);
    }
  }
}

TEST(RotatePositions, ATurnByHand) {
  // Two elements, position 1: a turn by one radian; position 0 stays.
  at::Tensor x = at::zeros({1, 1, 2, 2}, at::kDouble);
  x[0][0][0][0] = 1;
  x[0][0][1][0] = 1;
  const at::Tensor turned = rotate_positions(x);
  EXPECT_EQ(turned[0][0][0][0].item<double>(), 1.0);
  EXPECT_EQ(turned[0][0][0][1].item<double>(), 0.0);
  EXPECT_NEAR(turned[0][0][1][0].item<double>(), std::cos(1.0), 1e-15);
  EXPECT_NEAR(turned[0][0][1][1].item<double>(), std::sin(1.0), 1e-15);
}

TEST(RotatePositions, KeepsLengths) {
  const at::Tensor x = random_heads(9, 8, 1);
  EXPECT_TRUE(at::allclose(rotate_positions(x).norm(2, -1), x.norm(2, -1), 1e-12));
}

TEST(RotatePositions, AProductDependsOnTheDifferenceOfPositionsOnly) {
  const at::Tensor q = random_heads(1, 8, 1).expand({2, 3, 12, 8});
  const at::Tensor k = random_heads(1, 8, 2).expand({2, 3, 12, 8});
  const at::Tensor scores = rotate_positions(q).matmul(rotate_positions(k).transpose(-1, -2));
  for (std::int64_t distance = 0; distance < 11; ++distance) {
    const at::Tensor diagonal = scores.diagonal(-distance, -2, -1);
    EXPECT_TRUE(at::allclose(diagonal, diagonal.narrow(-1, 0, 1).expand_as(diagonal), 1e-10, 1e-12))
        << distance;
  }
}

TEST(Positions, AlibiSlopesAreThePapersSequence) {
  // Eight heads: 1/2 to 1/256. Three: the ratio is 2^(-8/3).
  const at::Tensor eight = alibi_head_slopes(8);
  for (std::int64_t i = 0; i < 8; ++i) {
    EXPECT_EQ(eight[i].item<float>(), std::pow(2.0F, -static_cast<float>(i + 1)));
  }
  EXPECT_FLOAT_EQ(alibi_head_slopes(3)[0].item<float>(), 0.15749013F);
  EXPECT_FLOAT_EQ(alibi_head_slopes(3)[2].item<float>(), 0.00390625F);
}

}  // namespace
}  // namespace attnlab
