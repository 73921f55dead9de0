#include "variants/api/cost.h"

#include <gtest/gtest.h>

#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

Problem problem_of_length(std::int64_t seqlen) {
  Problem problem;
  problem.batch = 2;
  problem.heads = 4;
  problem.kv_heads = 2;
  problem.seqlen_q = problem.seqlen_k = seqlen;
  problem.head_dim = 8;
  problem.head_dim_v = 16;
  return problem;
}

TEST(Cost, FlopsOfFullAndCausalAttention) {
  Problem problem = problem_of_length(10);
  // 2 flops * 2 batch * 4 heads * 100 pairs * (8 + 16).
  EXPECT_DOUBLE_EQ(softmax_attention_flops(problem, problem_mask(problem)), 2.0 * 8 * 100 * 24);
  problem.causal = true;
  EXPECT_DOUBLE_EQ(softmax_attention_flops(problem, problem_mask(problem)), 2.0 * 8 * 55 * 24);
}

TEST(Cost, DirectionsCostOneTwoAndAHalfAndTheirSum) {
  EXPECT_DOUBLE_EQ(direction_factor(Direction::kForward), 1.0);
  EXPECT_DOUBLE_EQ(direction_factor(Direction::kBackward), 2.5);
  EXPECT_DOUBLE_EQ(direction_factor(Direction::kForwardBackward), 3.5);
}

TEST(Cost, BytesOfInputsAndOutputs) {
  Problem problem = problem_of_length(10);
  const std::int64_t q = 2 * 4 * 10 * 8 * 4, k = 2 * 2 * 10 * 8 * 4, v = 2 * 2 * 10 * 16 * 4,
                     out = 2 * 4 * 10 * 16 * 4, lse = 2 * 4 * 10 * 4;
  Plan plan;
  count_tensors(problem, lse_bytes(problem), plan);
  EXPECT_EQ(plan.input_bytes, q + k + v);
  EXPECT_EQ(plan.output_bytes, out + lse);
  EXPECT_EQ(plan.bytes, q + k + v + out + lse);
  problem.direction = Direction::kForwardBackward;
  count_tensors(problem, lse_bytes(problem), plan);
  EXPECT_EQ(plan.input_bytes, q + k + v + out);
  EXPECT_EQ(plan.output_bytes, out + lse + q + k + v);
}

TEST(Cost, LinearAttentionIsCountedAsItsRecurrence) {
  Problem problem = problem_of_length(10);
  problem.kv_heads = 4;
  EXPECT_DOUBLE_EQ(test::make("linear")->plan(problem).flops, 4.0 * 8 * 10 * 8 * 16);
}

}  // namespace
}  // namespace attnlab
