#include "variants/api/problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

using ::testing::HasSubstr;

TEST(Problem, NamesOfDirectionsAndDtypesRoundTrip) {
  for (const char* name : {"forward", "backward", "forward_backward", "decode", "train"}) {
    EXPECT_STREQ(direction_name(parse_direction(name)), name);
  }
  for (const char* name : {"float32", "float64", "bfloat16", "float16"}) {
    EXPECT_STREQ(dtype_name(parse_dtype(name)), name);
  }
}

TEST(Problem, UnknownNamesNameTheNearest) {
  try {
    parse_direction("foward");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("Did you mean 'forward'?"));
  }
  try {
    parse_dtype("float8");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("Known: float32, float64, bfloat16, float16"));
  }
}

TEST(Problem, IsReadFromTheTensors) {
  const Inputs inputs{.q = test::normal({2, 6, 5, 8}, 1),
                      .k = test::normal({2, 3, 7, 8}, 2),
                      .v = test::normal({2, 3, 7, 4}, 3),
                      .causal = true};
  const Problem problem = problem_of(inputs, Direction::kBackward);
  EXPECT_EQ(problem.to_string(),
            "batch=2 heads=6 kv_heads=3 seqlen_q=5 seqlen_k=7 head_dim=8 head_dim_v=4 float32 "
            "causal backward on cpu");
  EXPECT_EQ(problem.q_bytes(), 2 * 6 * 5 * 8 * 4);
  EXPECT_EQ(problem.k_bytes(), 2 * 3 * 7 * 8 * 4);
  EXPECT_EQ(problem.v_bytes(), 2 * 3 * 7 * 4 * 4);
  EXPECT_EQ(problem.out_bytes(), 2 * 6 * 5 * 4 * 4);
}

struct Misfit {
  std::vector<std::int64_t> q, k, v;
  const char* message;
};

TEST(Problem, MisfitsAreNamedWithTheirShapes) {
  const Misfit misfits[] = {
      {{1, 1, 4, 8}, {1, 1, 4, 6}, {1, 1, 4, 8}, "head_dim of q and k differ"},
      {{1, 1, 4, 8}, {1, 1, 4, 8}, {1, 1, 5, 8}, "seqlen of k and v differ"},
      {{2, 1, 4, 8}, {1, 1, 4, 8}, {1, 1, 4, 8}, "batches differ"},
      {{1, 2, 4, 8}, {1, 2, 4, 8}, {1, 1, 4, 8}, "heads of k and v differ"},
      {{4}, {4}, {4}, "ranks do not fit"}};
  for (const Misfit& misfit : misfits) {
    try {
      problem_of({.q = at::zeros(misfit.q), .k = at::zeros(misfit.k), .v = at::zeros(misfit.v)});
      ADD_FAILURE() << misfit.message << " was accepted";
    } catch (const UnsupportedError& error) {
      EXPECT_THAT(error.what(), HasSubstr(misfit.message));
      EXPECT_THAT(error.what(), HasSubstr("Expected q [batch, heads, seqlen_q, head_dim]"));
    }
  }
}

}  // namespace
}  // namespace attnlab
