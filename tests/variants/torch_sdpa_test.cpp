#include "variants/torch_sdpa/torch_sdpa.h"

#include <gmock/gmock.h>

#include "tests/variants/variant_test_support.h"

namespace attnlab {
namespace {

TEST(TorchSdpa, AgreesWithFull) {
  for (const bool causal : {false, true}) {
    const Inputs inputs = test::normal_inputs(2, 2, 97, 32, causal);
    EXPECT_LT(test::max_difference(test::make("torch_sdpa")->forward(inputs).out,
                                   test::make("full")->forward(inputs).out),
              5e-6);
  }
}

TEST(TorchSdpa, RefusesWhatPyTorchWouldSilentlyDoOtherwise) {
  Problem problem;
  problem.head_dim_v = 32;
  EXPECT_THAT(test::make("torch_sdpa")->supports(problem).reason,
              ::testing::HasSubstr("head_dim == head_dim_v"));
  problem.head_dim_v = 64;
  problem.causal = true;
  problem.seqlen_q = 3;
  problem.seqlen_k = 5;
  EXPECT_THAT(test::make("torch_sdpa")->supports(problem).reason,
              ::testing::HasSubstr("seqlen_q (3) and seqlen_k (5) differ"));
}

}  // namespace
}  // namespace attnlab
