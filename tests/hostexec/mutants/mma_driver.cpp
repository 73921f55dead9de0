// A few cases of kernels/cuda/mma that use every part of the kernels: what mutants are run against.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/cuda/mma/flash.h"
#include "tests/kernels/cuda/device_case.h"

namespace attnlab::testing {
namespace {

constexpr FlashFamily kMma = {cuda::mma::plan_forward, cuda::mma::run_forward,
                              cuda::mma::plan_backward, cuda::mma::run_backward};

TEST(MmaMutants, CausalGroupedHeads) {
  run_kernels_everywhere([] {
    DeviceCase c(make_shape(1, 2, 1, 140, 230, 24, 40, DType::kBFloat16), {true});
    c.expect_both(kMma);
  });
}

TEST(MmaMutants, WindowWithGeneralScores) {
  DeviceCase c(make_shape(2, 1, 1, 35, 240, 7, 6, DType::kFloat16), {false, 20, 30});
  c.score.softcap = 2.0;
  c.use_alibi();
  c.use_seqlens({240, 41});
  c.expect_both(kMma);
}

TEST(MmaMutants, MaskedValuesStayHidden) {
  DeviceCase c(make_shape(1, 1, 1, 70, 70, 8, 8, DType::kBFloat16), {true});
  c.v.fill_row(66, std::numeric_limits<double>::quiet_NaN());
  c.run_forward(kMma);
  for (std::int64_t i = 0; i < 70; ++i) {
    const double out = c.out.get(0, 0, i, 0);
    EXPECT_EQ(out == out, i < 66) << i;
  }
}

TEST(MmaMutants, MaskedGradientsStayHidden) {
  DeviceCase c(make_shape(1, 1, 1, 70, 70, 8, 8, DType::kBFloat16), {true});
  c.run_forward(kMma);
  c.grad_out.fill_row(3, std::numeric_limits<double>::quiet_NaN());
  c.run_backward(kMma);
  for (std::int64_t i = 0; i < 70; ++i) {
    const double grad = c.grad_v.get(0, 0, i, 0);
    EXPECT_EQ(grad == grad, i > 3) << i;
  }
}

}  // namespace
}  // namespace attnlab::testing
