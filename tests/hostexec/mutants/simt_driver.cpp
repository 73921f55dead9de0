// A few cases of kernels/cuda/simt that use every part of the kernels: what mutants are run
// against.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/cuda/simt/flash.h"
#include "tests/kernels/cuda/device_case.h"

namespace attnlab::testing {
namespace {

constexpr FlashFamily kSimt = {cuda::simt::plan_forward, cuda::simt::run_forward,
                               cuda::simt::plan_backward, cuda::simt::run_backward};

TEST(SimtMutants, CausalGroupedHeads) {
  run_kernels_everywhere([] {
    DeviceCase c(make_shape(1, 2, 1, 70, 99, 20, 24), {true});
    c.expect_both(kSimt);
  });
}

TEST(SimtMutants, WindowWithGeneralScores) {
  DeviceCase c(make_shape(2, 1, 1, 35, 140, 6, 7), {false, 20, 30});
  c.score.softcap = 2.0;
  c.use_alibi();
  c.use_seqlens({140, 41});
  c.expect_both(kSimt);
}

TEST(SimtMutants, MaskedValuesStayHidden) {
  DeviceCase c(make_shape(1, 1, 1, 70, 70, 8, 8), {true});
  c.v.fill_row(66, std::numeric_limits<double>::quiet_NaN());
  c.run_forward(kSimt);
  for (std::int64_t i = 0; i < 66; ++i)
    EXPECT_EQ(c.out.get(0, 0, i, 0), c.out.get(0, 0, i, 0)) << i;
}

}  // namespace
}  // namespace attnlab::testing
