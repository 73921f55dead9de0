// Which kernel a call gets: what a plan names is what runs.
#include "kernels/cuda/flash_attention.h"

#include <gtest/gtest.h>

#include <string>

#include "kernels/core/error.h"
#include "tests/kernels/cuda/device_case.h"

namespace attnlab::testing {
namespace {

std::string forward_kernel(const AttentionShape& shape, const cuda::DeviceModel& device,
                           bool plain = true) {
  return cuda::plan_flash_attention(shape, plain, device).kernel_name;
}

TEST(CudaFlash, ChoosesByTypeDeviceAndScore) {
  const auto shape = [](DType dtype, std::int64_t head_dim = 64) {
    return make_shape(2, 4, 2, 100, 200, head_dim, head_dim, dtype);
  };
  for (const auto& device : {cuda::kA100, cuda::kH100}) {
    EXPECT_EQ(forward_kernel(shape(DType::kFloat32), device), "cuda_flash_simt_f32");
    EXPECT_EQ(forward_kernel(shape(DType::kFloat64), device), "cuda_flash_simt_f64");
  }
  EXPECT_EQ(forward_kernel(shape(DType::kBFloat16), cuda::kA100), "cuda_flash_mma_bf16");
  EXPECT_EQ(forward_kernel(shape(DType::kFloat16), cuda::kA100), "cuda_flash_mma_f16");
  EXPECT_EQ(forward_kernel(shape(DType::kBFloat16), cuda::kH100), "cuda_flash_sm90_bf16");
  EXPECT_EQ(forward_kernel(shape(DType::kFloat16), cuda::kH100), "cuda_flash_sm90_f16");
  constexpr bool kGeneralScore = false;
  EXPECT_EQ(forward_kernel(shape(DType::kBFloat16), cuda::kH100, kGeneralScore),
            "cuda_flash_mma_bf16");
  constexpr std::int64_t kUnalignedRows = 20;
  EXPECT_EQ(forward_kernel(shape(DType::kBFloat16, kUnalignedRows), cuda::kH100),
            "cuda_flash_mma_bf16");
}

TEST(CudaFlash, ChoosesByAlignmentOfTheTensorsThemselves) {
  DeviceCase c(make_shape(1, 1, 1, 9, 9, 64, 64, DType::kBFloat16), {});
  const std::string aligned =
      cuda::plan_flash_attention(DeviceCopies(c, 0).forward_args(c), cuda::kH100).kernel_name;
  const std::string shifted =
      cuda::plan_flash_attention(DeviceCopies(c, 1).forward_args(c), cuda::kH100).kernel_name;
  EXPECT_EQ(aligned, "cuda_flash_sm90_bf16");
  EXPECT_EQ(shifted, "cuda_flash_mma_bf16");
}

TEST(CudaFlash, ChoosesBackwardByTypeDeviceScoreAndSize) {
  const auto kernel = [](DType dtype, const cuda::DeviceModel& device, bool plain = true,
                         std::int64_t head_dim = 64) -> std::string {
    const AttentionShape shape = make_shape(2, 4, 2, 100, 200, head_dim, head_dim, dtype);
    return cuda::plan_flash_attention_backward(shape, plain, device).kernel_name;
  };
  EXPECT_EQ(kernel(DType::kFloat32, cuda::kH100), "cuda_flash_backward_simt_f32");
  EXPECT_EQ(kernel(DType::kBFloat16, cuda::kA100), "cuda_flash_backward_mma_bf16");
  EXPECT_EQ(kernel(DType::kBFloat16, cuda::kH100), "cuda_flash_backward_sm90_bf16");
  EXPECT_EQ(kernel(DType::kFloat16, cuda::kH100), "cuda_flash_backward_sm90_f16");
  EXPECT_EQ(kernel(DType::kFloat16, cuda::kH100, false), "cuda_flash_backward_mma_f16");
  EXPECT_EQ(kernel(DType::kFloat16, cuda::kH100, true, 136), "cuda_flash_backward_mma_f16");
  EXPECT_EQ(kernel(DType::kFloat16, cuda::kH100, true, 20), "cuda_flash_backward_mma_f16");
  DeviceCase c(make_shape(1, 1, 1, 9, 9, 64, 64, DType::kBFloat16), {});
  const DeviceCopies shifted(c, 1);
  EXPECT_STREQ(
      cuda::plan_flash_attention_backward(shifted.backward_args(c), cuda::kH100).kernel_name,
      "cuda_flash_backward_mma_bf16");
}

KernelPlan plan_forward(const AttentionShape& shape, const cuda::DeviceModel& device) {
  return cuda::plan_flash_attention(shape, true, device);
}

KernelPlan plan_backward(const AttentionShape& shape, const cuda::DeviceModel& device) {
  return cuda::plan_flash_attention_backward(shape, true, device);
}

constexpr FlashFamily kFlash = {plan_forward, cuda::flash_attention, plan_backward,
                                cuda::flash_attention_backward};

TEST(CudaFlash, EveryTypeRunsBothWays) {
  for (const DType dtype : kDTypes) {
    DeviceCase c(make_shape(1, 2, 1, 70, 90, 64, 64, dtype), {true});
    c.expect_both(kFlash);
  }
}

TEST(CudaFlash, RefusesShapesInWords) {
  for (const AttentionShape& shape :
       {make_shape(1, 1, 1, 8, 8, 257, 8), make_shape(1, 1, 1, 8, 8, 8, 0),
        make_shape(1, 3, 2, 8, 8, 8, 8)}) {
    EXPECT_THROW(cuda::plan_flash_attention(shape, true, cuda::kH100), UnsupportedError);
    EXPECT_THROW(plan_backward(shape, cuda::kH100), UnsupportedError);
  }
}

}  // namespace
}  // namespace attnlab::testing
