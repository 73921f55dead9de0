// What the host sides of the forward and the backward pass share: checks, plans and the kernels
// before the outputs. Included by .cu files only.
#pragma once

#include <span>
#include <string>

#include "kernels/core/dispatch.h"
#include "kernels/core/error.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/linear/gates.cuh"
#include "kernels/cuda/linear/linear_attention.h"
#include "kernels/cuda/linear/mma_tile.cuh"
#include "kernels/cuda/linear/scan.cuh"
#include "kernels/cuda/linear/simt_tile.cuh"
#include "kernels/cuda/linear/states.cuh"

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
template <class T, class Acc>
void launch_decays(const Call<T, Acc>& call, Stream stream) {
  if (!call.has_decay()) return;
  const AttentionShape& shape = call.shape();
  launch({.grid = grid_of(shape.batch * shape.heads, call.layout.q_chunks, 1),
          .threads = 32,
          .stream = stream},
         decays_kernel<Call<T, Acc>>, call);
}

/// The sums of every chunk, then those before it (after it; of all where not causal).
template <States kStates, class T, class Acc>
void launch_states(const Call<T, Acc>& call, Stream stream) {
  using Tile = typename TileOf<T>::type;
  constexpr bool kQueries = kStates == States::kQueries;
  constexpr bool kCentered = kStates == States::kCenteredKeys;
  const AttentionShape& shape = call.shape();
  const Layout& layout = call.layout;
  const std::int64_t chunks = kQueries ? layout.q_chunks : layout.k_chunks;
  const std::int64_t heads = shape.batch * (kQueries ? shape.heads : call.state_heads());
  launch(
      config_of<Tile>(grid_of(heads, chunks, std::int64_t{layout.dim_tiles} * layout.dim_v_tiles),
                      1, stream),
      states_kernel<kStates, T, Tile>, call);

  const bool causal = call.options().causal;
  ScanArgs<Acc> scan{.states = call.workspace.states,
                     .sums = call.workspace.sums,
                     .totals = call.workspace.totals,
                     .value_sums = kCentered ? call.workspace.value_sums : nullptr,
                     .centers = call.workspace.centers,
                     .decays = call.has_decay() ? call.workspace.decays : nullptr,
                     .rows = static_cast<int>(layout.dim()),
                     .columns = static_cast<int>(layout.dim_v()),
                     .chunk = static_cast<int>(layout.chunk()),
                     .slots = chunks,
                     .seqlen = kQueries ? shape.seqlen_q : shape.seqlen_k};
  std::int64_t scans = heads;
  if (kQueries && !causal) {
    // Keys see the queries of all heads of their group: one long sum.
    scan.slots *= call.group();
    scans /= call.group();
  }
  const std::int64_t blocks =
      (layout.state_size() + layout.dim() + layout.dim_v() + kScanThreads - 1) / kScanThreads;
  const LaunchConfig config{
      .grid = grid_of(scans, blocks, 1), .threads = kScanThreads, .stream = stream};
  if (!causal) {
    launch(config, scan_kernel<Scan::kTotal, Acc>, scan);
  } else if (kQueries) {
    launch(config, scan_kernel<Scan::kAfter, Acc>, scan);
  } else {
    launch(config, scan_kernel<Scan::kBefore, Acc>, scan);
  }
}

}  // namespace attnlab::cuda::linear
