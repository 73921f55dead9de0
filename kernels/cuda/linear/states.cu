// Decays and states of all chunks: what the forward and the backward pass begin with.
#include "kernels/cuda/linear/launches.cuh"
#include "kernels/cuda/linear/scan.cuh"
#include "kernels/cuda/linear/states.cuh"

namespace attnlab::cuda::linear {

/// Decays of every chunk, where there are any.
template <class Acc>
void launch_decays(const Call<Acc>& call, Stream stream) {
  if (!call.has_decay()) return;
  const AttentionShape& shape = call.shape();
  launch({.grid = grid_of(shape.batch * shape.heads, call.layout.q_chunks, 1),
          .threads = 32,
          .stream = stream},
         decays_kernel<Call<Acc>>, call);
}

/// The sums of every chunk, then those before it (after it; of all where not causal).
template <States kStates, class T>
void launch_states(const Call<Accumulator<T>>& call, Stream stream) {
  using Acc = Accumulator<T>;
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

template void launch_decays<float>(const Call<float>&, Stream);
template void launch_decays<double>(const Call<double>&, Stream);

template void launch_states<States::kKeys, float>(const Call<float>&, Stream);
template void launch_states<States::kKeys, double>(const Call<double>&, Stream);
template void launch_states<States::kKeys, bfloat16>(const Call<float>&, Stream);
template void launch_states<States::kKeys, float16>(const Call<float>&, Stream);
template void launch_states<States::kCenteredKeys, float>(const Call<float>&, Stream);
template void launch_states<States::kCenteredKeys, double>(const Call<double>&, Stream);
template void launch_states<States::kCenteredKeys, bfloat16>(const Call<float>&, Stream);
template void launch_states<States::kCenteredKeys, float16>(const Call<float>&, Stream);
template void launch_states<States::kQueries, float>(const Call<float>&, Stream);
template void launch_states<States::kQueries, double>(const Call<double>&, Stream);
template void launch_states<States::kQueries, bfloat16>(const Call<float>&, Stream);
template void launch_states<States::kQueries, float16>(const Call<float>&, Stream);

}  // namespace attnlab::cuda::linear
