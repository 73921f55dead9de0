// A few cases of kernels/cuda/decode that use every part of the kernels: what mutants are run
// against.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/cuda/decode/decode_attention.h"
#include "tests/kernels/cuda/device_case.h"

namespace attnlab::testing {
namespace {

void run(DeviceCase& c) {
  c.poison_outputs();
  const DeviceCopies device(c, c.offset);
  const KernelPlan plan = cuda::plan_decode_attention(c.shape, device_model());
  const DeviceBuffer workspace(plan.workspace_bytes);
  cuda::decode_attention(device.forward_args(c), plan, workspace.span(), device_model(), nullptr);
  device.out.download(c.out);
  device.lse.download(c.lse);
}

TEST(DecodeMutants, SeveralSplitsInEverySchedule) {
  run_kernels_everywhere([] {
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      DeviceCase c(make_shape(1, 6, 2, 2, 700, 24, 40, dtype), {true});
      run(c);
      c.compare_forward();
    }
  });
}

TEST(DecodeMutants, NotAlignedWithLengths) {
  DeviceCase c(make_shape(2, 5, 1, 3, 300, 7, 9), {true});
  c.offset = 1;
  c.use_seqlens({300, 131});
  run(c);
  c.compare_forward();
}

TEST(DecodeMutants, MaskedValuesStayHidden) {
  DeviceCase c(make_shape(1, 1, 1, 2, 300, 8, 8), {true});
  c.v.fill_row(299, std::numeric_limits<double>::quiet_NaN());
  run(c);
  EXPECT_EQ(c.out.get(0, 0, 0, 0), c.out.get(0, 0, 0, 0));
  EXPECT_NE(c.out.get(0, 0, 1, 0), c.out.get(0, 0, 1, 0));
}

}  // namespace
}  // namespace attnlab::testing
