#include "kernels/cuda/mma/dispatch.h"
#include "kernels/cuda/mma/flash.h"
#include "kernels/cuda/mma/flash_forward.cuh"
#include "kernels/cuda/row_alignment.h"

namespace attnlab::cuda::mma {
namespace {

/// Tiles by head dimension: sums and scores of a warp fit its 255 registers without spills (at 128,
/// 32 queries a warp spilled on sm_90).
template <class T, int kDim>
struct TileOf;
template <class T>
struct TileOf<T, 64> : ForwardTile<T, 64, 4, 2, 64> {};
template <class T>
struct TileOf<T, 128> : ForwardTile<T, 128, 8, 1, 64> {};
template <class T>
struct TileOf<T, 256> : ForwardTile<T, 256, 8, 1, 32> {};

int shared_bytes(const AttentionShape& shape) {
  int bytes = 0;
  dispatch_kernel(shape, {}, [&](auto type, auto dim, auto) {
    bytes = TileOf<typename decltype(type)::type, decltype(dim)::value>::kSharedBytes;
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
  return {shape.dtype == DType::kBFloat16 ? "cuda_flash_mma_bf16" : "cuda_flash_mma_f16", 1, 0};
}

void run_forward(const AttentionArgs& args, const KernelPlan&, std::span<std::byte>,
                 const DeviceModel& device, Stream stream) {
  const AttentionShape& shape = args.shape;
  plan_forward(shape, device);  // throws where the shape is not supported
  const bool aligned = rows_are_aligned({args.q, args.k, args.v, args.out});
  dispatch_kernel(shape, args.score, [&](auto type, auto dim, auto policy) {
    using Score = typename decltype(policy)::type;
    using Tile = TileOf<typename decltype(type)::type, decltype(dim)::value>;
    const std::int64_t blocks =
        (shape.seqlen_q + Tile::kRows - 1) / Tile::kRows * shape.heads * shape.batch;
    if (blocks == 0) return;
    launch({{static_cast<int>(blocks)}, Tile::kThreads, Tile::kSharedBytes, stream},
           flash_forward<Tile, Score>, args, aligned);
  });
}

}  // namespace attnlab::cuda::mma
