// A few cases of kernels/cuda/linear that use every part of the kernels: what mutants are run
// against.
#include <gtest/gtest.h>

#include "tests/kernels/cuda/linear/linear_case.h"

namespace attnlab::testing {
namespace {

TEST(LinearMutants, CausalWithDecayInEverySchedule) {
  run_kernels_everywhere([] {
    LinearCase c(make_shape(1, 2, 1, 148, 148, 24, 8, DType::kFloat16));
    c.use_decay(true);
    c.expect_reference();
  });
}

TEST(LinearMutants, Float32OverThreeChunks) {
  LinearCase c(make_shape(1, 2, 1, 300, 300, 8, 24));
  c.use_decay(false);
  c.expect_reference();
}

TEST(LinearMutants, NotCausal) {
  LinearCase(make_shape(1, 2, 1, 66, 70, 6, 70, DType::kBFloat16), false).expect_reference();
}

}  // namespace
}  // namespace attnlab::testing
