// The choice of a kernel family. Plans and runs go through one function, so that what a plan names
// is what runs.

#include <array>
#include <string>

#include "kernels/core/error.h"
#include "kernels/cuda/flash_attention.h"
#include "kernels/cuda/hopper/flash.h"
#include "kernels/cuda/mma/flash.h"
#include "kernels/cuda/simt/flash.h"

namespace attnlab::cuda {
namespace {

enum class Family { kSimt, kMma, kHopper };

void check_shape(const AttentionShape& shape) {
  if (shape.head_dim < 1 || shape.head_dim > kMaxHeadDim || shape.head_dim_v < 1 ||
      shape.head_dim_v > kMaxHeadDim) {
    throw UnsupportedError("[cuda] head_dim " + std::to_string(shape.head_dim) +
                           " and head_dim_v " + std::to_string(shape.head_dim_v) +
                           " must be from 1 to " + std::to_string(kMaxHeadDim) + ".");
  }
  if (shape.kv_heads < 1 || shape.heads % shape.kv_heads != 0) {
    throw UnsupportedError("[cuda] heads " + std::to_string(shape.heads) +
                           " must be a multiple of kv_heads " + std::to_string(shape.kv_heads) +
                           ".");
  }
}

Family choose_forward(const AttentionArgs& args, const DeviceModel& device) {
  check_shape(args.shape);
  if (hopper::supports_forward(args, device)) return Family::kHopper;
  return mma::supports_forward(args.shape, device) ? Family::kMma : Family::kSimt;
}

Family choose_backward(const AttentionBackwardArgs& args, const DeviceModel& device) {
  check_shape(args.shape);
  if (hopper::supports_backward(args, device)) return Family::kHopper;
  return mma::supports_backward(args.shape, device) ? Family::kMma : Family::kSimt;
}

/// A contiguous tensor that starts at an aligned address and is never touched.
TensorView contiguous_view(const std::array<std::int64_t, 4>& sizes, DType dtype) {
  constexpr std::uintptr_t kAlignedAddress = 4096;
  return {reinterpret_cast<void*>(kAlignedAddress),
          sizes,
          {sizes[1] * sizes[2] * sizes[3], sizes[2] * sizes[3], sizes[3], 1},
          dtype};
}

AttentionBackwardArgs contiguous_args(const AttentionShape& s, bool plain_score) {
  const DType lse_dtype = s.dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
  const TensorView q = contiguous_view({s.batch, s.heads, s.seqlen_q, s.head_dim}, s.dtype);
  const TensorView k = contiguous_view({s.batch, s.kv_heads, s.seqlen_k, s.head_dim}, s.dtype);
  const TensorView v = contiguous_view({s.batch, s.kv_heads, s.seqlen_k, s.head_dim_v}, s.dtype);
  const TensorView out = contiguous_view({s.batch, s.heads, s.seqlen_q, s.head_dim_v}, s.dtype);
  return {.shape = s,
          .mask = {},
          .score = {.softcap = plain_score ? 0.0 : 1.0},
          .q = q,
          .k = k,
          .v = v,
          .out = out,
          .lse = contiguous_view({s.batch, s.heads, s.seqlen_q, 1}, lse_dtype),
          .grad_out = out,
          .grad_q = q,
          .grad_k = k,
          .grad_v = v};
}

}  // namespace

KernelPlan plan_flash_attention(const AttentionArgs& args, const DeviceModel& device) {
  switch (choose_forward(args, device)) {
    case Family::kHopper: return hopper::plan_forward(args.shape, device);
    case Family::kMma: return mma::plan_forward(args.shape, device);
    case Family::kSimt: break;
  }
  return simt::plan_forward(args.shape, device);
}

KernelPlan plan_flash_attention(const AttentionShape& shape, bool plain_score,
                                const DeviceModel& device) {
  const AttentionBackwardArgs args = contiguous_args(shape, plain_score);
  return plan_flash_attention(AttentionArgs{.shape = shape,
                                            .mask = args.mask,
                                            .score = args.score,
                                            .q = args.q,
                                            .k = args.k,
                                            .v = args.v,
                                            .out = args.out,
                                            .lse = args.lse},
                              device);
}

KernelPlan plan_flash_attention_backward(const AttentionBackwardArgs& args,
                                         const DeviceModel& device) {
  switch (choose_backward(args, device)) {
    case Family::kHopper: return hopper::plan_backward(args.shape, device);
    case Family::kMma: return mma::plan_backward(args.shape, device);
    case Family::kSimt: break;
  }
  return simt::plan_backward(args.shape, device);
}

KernelPlan plan_flash_attention_backward(const AttentionShape& shape, bool plain_score,
                                         const DeviceModel& device) {
  return plan_flash_attention_backward(contiguous_args(shape, plain_score), device);
}

void flash_attention(const AttentionArgs& args, const KernelPlan& plan,
                     std::span<std::byte> workspace, const DeviceModel& device, Stream stream) {
  switch (choose_forward(args, device)) {
    case Family::kHopper: return hopper::run_forward(args, plan, workspace, device, stream);
    case Family::kMma: return mma::run_forward(args, plan, workspace, device, stream);
    case Family::kSimt: return simt::run_forward(args, plan, workspace, device, stream);
  }
}

void flash_attention_backward(const AttentionBackwardArgs& args, const KernelPlan& plan,
                              std::span<std::byte> workspace, const DeviceModel& device,
                              Stream stream) {
  switch (choose_backward(args, device)) {
    case Family::kHopper: return hopper::run_backward(args, plan, workspace, device, stream);
    case Family::kMma: return mma::run_backward(args, plan, workspace, device, stream);
    case Family::kSimt: return simt::run_backward(args, plan, workspace, device, stream);
  }
}

}  // namespace attnlab::cuda
