// What the host sides of the forward and the backward pass share: checks, plans and the kernels
// before the outputs. Included by .cu files only.
#pragma once

#include <span>
#include <string>

#include "kernels/core/dispatch.h"
#include "kernels/core/error.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/linear/linear_attention.h"
#include "kernels/cuda/linear/memory.cuh"
#include "kernels/cuda/linear/mma_tile.cuh"
#include "kernels/cuda/linear/simt_tile.cuh"

namespace attnlab::cuda::linear {

/// How products are computed for an element type.
template <class T>
struct TileOf {
  using type = MmaTile<T>;
};
template <>
struct TileOf<float> {
  using type = SimtTile<float>;
};
template <>
struct TileOf<double> {
  using type = SimtTile<double>;
};

/// "[component] ..." where the shape is not supported.
void check_shape(const AttentionShape& shape, bool causal);
/// The same for options, and for a workspace smaller than planned.
void check_call(const LinearOptions& options, const KernelPlan& plan,
                std::span<std::byte> workspace);

/// One block for each tile or chunk of every head and, in y, of every tile of columns.
inline Dim3 grid_of(std::int64_t heads, std::int64_t parts, std::int64_t columns) {
  constexpr std::int64_t kMaxBlocks = 0x7fffffff;
  if (heads * parts > kMaxBlocks) {
    throw UnsupportedError("[linear_attention] " + std::to_string(heads) +
                           " heads of the batch in " + std::to_string(parts) +
                           " parts are more than " + std::to_string(kMaxBlocks) +
                           " blocks; split the batch");
  }
  return {static_cast<int>(heads * parts), static_cast<int>(columns), 1};
}

/// Left operands in shared memory: all `depth_tiles` where the device has room, else one.
template <class Tile>
int left_tiles_that_fit(int depth_tiles, const DeviceModel& device) {
  return Memory<Tile>::bytes(depth_tiles) <= device.shared_bytes_per_block ? depth_tiles : 1;
}

template <class Tile>
LaunchConfig config_of(const Dim3& grid, int left_tiles, Stream stream) {
  return {.grid = grid,
          .threads = Tile::kThreads,
          .shared_bytes = Memory<Tile>::bytes(left_tiles),
          .stream = stream};
}

/// Decays of every chunk, where there are any.
template <class Acc>
void launch_decays(const Call<Acc>& call, Stream stream);

/// The sums of every chunk, then those before it (after it; of all where not causal).
template <States kStates, class T>
void launch_states(const Call<Accumulator<T>>& call, Stream stream);

}  // namespace attnlab::cuda::linear
