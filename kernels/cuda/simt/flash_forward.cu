#include "kernels/cuda/row_alignment.h"
#include "kernels/cuda/simt/dispatch.h"
#include "kernels/cuda/simt/flash.h"
#include "kernels/cuda/simt/flash_forward.cuh"

namespace attnlab::cuda::simt {
namespace {

/// Tiles by head dimension: two blocks per multiprocessor in float32 up to head_dim 128, and sums
/// that fit the registers (with a general policy in the loop, half the rows at head_dim 256). At
/// most 145 KiB of shared memory (float32, head_dim 256).
template <class T, int kDim, class Score>
using ForwardTile = std::conditional_t<
    std::is_same_v<T, double>, Tile<T, kDim, 2, (kDim <= 64 ? 4 : 2)>,
    Tile<T, kDim, (kDim > 128 && !Score::kIsIdentity ? 2 : 4), (kDim <= 64 ? 8 : 4)>>;

/// The same or less with a general policy.
int shared_bytes(const AttentionShape& shape) {
  int bytes = 0;
  dispatch_kernel(shape, {}, [&](auto type, auto dim, auto policy) {
    bytes = forward_shared_bytes<ForwardTile<typename decltype(type)::type, decltype(dim)::value,
                                             typename decltype(policy)::type>>();
  });
  return bytes;
}

}  // namespace

bool supports_forward(const AttentionShape& shape, const DeviceModel& device) {
  return refusal(shape, shared_bytes(shape), device).empty();
}

KernelPlan plan_forward(const AttentionShape& shape, const DeviceModel& device) {
  const std::string reason = refusal(shape, shared_bytes(shape), device);
  if (!reason.empty()) throw UnsupportedError("[flash_attention] " + reason);
  return {shape.dtype == DType::kFloat64 ? "cuda_flash_simt_f64" : "cuda_flash_simt_f32", 1, 0};
}

void run_forward(const AttentionArgs& args, const KernelPlan&, std::span<std::byte>,
                 const DeviceModel& device, Stream stream) {
  const AttentionShape& shape = args.shape;
  plan_forward(shape, device);  // throws where the shape is not supported
  const bool aligned = rows_are_aligned({args.q, args.k, args.v, args.out});
  dispatch_kernel(shape, args.score, [&](auto type, auto dim, auto policy) {
    using Score = typename decltype(policy)::type;
    using Tile = ForwardTile<typename decltype(type)::type, decltype(dim)::value, Score>;
    const std::int64_t blocks =
        (shape.seqlen_q + Tile::kRows - 1) / Tile::kRows * shape.heads * shape.batch;
    if (blocks == 0) return;
    launch({{static_cast<int>(blocks)}, kThreads, forward_shared_bytes<Tile>(), stream},
           flash_forward<Tile, Score>, args, aligned);
  });
}

}  // namespace attnlab::cuda::simt
