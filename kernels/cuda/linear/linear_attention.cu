#include "kernels/cuda/linear/forward.cuh"
#include "kernels/cuda/linear/launches.cuh"
#include "kernels/cuda/linear/linear_attention.h"
#include "kernels/cuda/row_alignment.h"

namespace attnlab::cuda {
namespace linear {

void check_shape(const AttentionShape& shape, bool causal) {
  constexpr std::int64_t kMaxHeadDim = 256;
  const auto fail = [](const std::string& what) {
    throw UnsupportedError("[linear_attention] " + what);
  };
  const auto in_range = [](std::int64_t dim) { return dim >= 1 && dim <= kMaxHeadDim; };
  if (!in_range(shape.head_dim) || !in_range(shape.head_dim_v)) {
    fail("head_dim " + std::to_string(shape.head_dim) + " and head_dim_v " +
         std::to_string(shape.head_dim_v) + " must be from 1 to " + std::to_string(kMaxHeadDim));
  }
  if (shape.kv_heads < 1 || shape.heads % shape.kv_heads != 0) {
    fail(std::to_string(shape.heads) + " heads with " + std::to_string(shape.kv_heads) +
         " kv_heads; heads must be a multiple of kv_heads");
  }
  if (causal && shape.seqlen_q != shape.seqlen_k) {
    fail("causal with seqlen_q " + std::to_string(shape.seqlen_q) + " and seqlen_k " +
         std::to_string(shape.seqlen_k) + "; they must be equal");
  }
}

void check_call(const LinearOptions& options, const KernelPlan& plan,
                std::span<std::byte> workspace) {
  if (options.log_decay != nullptr && !options.causal) {
    throw UnsupportedError("[linear_attention] log_decay needs causal=true");
  }
  if (static_cast<std::int64_t>(workspace.size()) < plan.workspace_bytes) {
    throw UnsupportedError("[linear_attention] workspace of " + std::to_string(workspace.size()) +
                           " bytes; the plan needs " + std::to_string(plan.workspace_bytes));
  }
}

namespace {

std::int64_t workspace_bytes(const AttentionShape& shape, bool causal, bool backward) {
  Carver carver;
  if (shape.dtype == DType::kFloat64) {
    carve_workspace<double>(carver, shape, causal, backward);
  } else {
    carve_workspace<float>(carver, shape, causal, backward);
  }
  return carver.used_bytes();
}

const char* kernel_name(DType dtype) {
  switch (dtype) {
    case DType::kFloat64: return "cuda_linear_simt_f64";
    case DType::kBFloat16: return "cuda_linear_mma_bf16";
    case DType::kFloat16: return "cuda_linear_mma_f16";
    case DType::kFloat32: break;
  }
  return "cuda_linear_simt_f32";
}

const char* backward_kernel_name(DType dtype) {
  switch (dtype) {
    case DType::kFloat64: return "cuda_linear_backward_simt_f64";
    case DType::kBFloat16: return "cuda_linear_backward_mma_bf16";
    case DType::kFloat16: return "cuda_linear_backward_mma_f16";
    case DType::kFloat32: break;
  }
  return "cuda_linear_backward_simt_f32";
}

template <class T>
void run_forward(const LinearAttentionArgs& args, std::span<std::byte> workspace,
                 const DeviceModel& device, Stream stream) {
  using Acc = Accumulator<T>;
  using Tile = typename TileOf<T>::type;
  const AttentionShape& shape = args.shape;
  Carver carver(workspace.data());
  Call<Acc> call;
  call.args.shape = shape;
  call.args.options = args.options;
  call.args.q = args.q;
  call.args.k = args.k;
  call.args.v = args.v;
  call.args.out = args.out;
  call.layout = make_layout(shape);
  call.workspace = carve_workspace<Acc>(carver, shape, args.options.causal, false);
  call.aligned = rows_are_aligned({args.q, args.k, args.v, args.out});
  call.left_tiles = left_tiles_that_fit<Tile>(call.layout.dim_tiles, device);
  launch_decays(call, stream);
  if (call.has_states()) launch_states<States::kKeys, T>(call, stream);
  launch(config_of<Tile>(grid_of(shape.batch * shape.heads, (shape.seqlen_q + kTile - 1) / kTile,
                                 call.layout.dim_v_tiles),
                         call.left_tiles, stream),
         output_kernel<T, Tile>, call);
}

}  // namespace
}  // namespace linear

KernelPlan plan_linear_attention(const AttentionShape& shape, bool causal,
                                 const DeviceModel& /*device*/) {
  linear::check_shape(shape, causal);
  return {linear::kernel_name(shape.dtype), 1, linear::workspace_bytes(shape, causal, false)};
}

KernelPlan plan_linear_attention_backward(const AttentionShape& shape, bool causal,
                                          const DeviceModel& /*device*/) {
  linear::check_shape(shape, causal);
  return {linear::backward_kernel_name(shape.dtype), 1,
          linear::workspace_bytes(shape, causal, true)};
}

void linear_attention(const LinearAttentionArgs& args, const KernelPlan& plan,
                      std::span<std::byte> workspace, const DeviceModel& device, Stream stream) {
  linear::check_shape(args.shape, args.options.causal);
  linear::check_call(args.options, plan, workspace);
  if (args.shape.batch * args.shape.heads * args.shape.seqlen_q == 0) return;
  dispatch_dtype(args.shape.dtype, [&](auto type) {
    linear::run_forward<typename decltype(type)::type>(args, workspace, device, stream);
  });
}

}  // namespace attnlab::cuda
