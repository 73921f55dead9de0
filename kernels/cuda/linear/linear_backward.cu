// Backward linear attention in chunks. With G = dO / denominator and c = -(G . O), the gradient of
// the denominator (0 without normalising), and gates D:
//   d phi(q_i) = sum_{j <= i} D_ij (G_i . v_j + c_i) phi(k_j)
//   d phi(k_j) = sum_{i >= j} D_ij (G_i . v_j + c_i) phi(q_i)
//   dv_j = sum_{i >= j} D_ij (phi(k_j) . phi(q_i)) G_i
// G . v + c = G . (v - o) is small where the values have a common mean; so that it is not the
// difference of two long sums, values and outputs are taken relative to a center: for dq the mean
// of the values before the chunk, for dk that of all. dO stays as it is, and 1 / denominator goes
// to the other factor, since G may be too small for 16-bit types.
#include "kernels/cuda/linear/decay_gradients.cuh"
#include "kernels/cuda/linear/key_gradients.cuh"
#include "kernels/cuda/linear/launches.cuh"
#include "kernels/cuda/linear/token_terms.cuh"
#include "kernels/cuda/row_alignment.h"

namespace attnlab::cuda {
namespace linear {
namespace {

template <class T>
void run_backward(const LinearAttentionBackwardArgs& args, std::span<std::byte> workspace,
                  const DeviceModel& device, Stream stream) {
  using Acc = Accumulator<T>;
  using Tile = typename TileOf<T>::type;
  const AttentionShape& shape = args.shape;
  const std::int64_t heads = shape.batch * shape.heads;
  Carver carver(workspace.data());
  Call<Acc> call{.args = args,
                 .layout = make_layout(shape),
                 .workspace = carve_workspace<Acc>(carver, shape, args.options.causal, true),
                 .aligned = rows_are_aligned({args.q, args.k, args.v, args.grad_out, args.grad_q,
                                              args.grad_k, args.grad_v})};
  const int dim_tiles = call.layout.dim_tiles;
  const int dim_v_tiles = call.layout.dim_v_tiles;
  const std::int64_t q_tiles = (shape.seqlen_q + kTile - 1) / kTile;
  const std::int64_t k_tiles = (shape.seqlen_k + kTile - 1) / kTile;
  // `depth_tiles`: of the left operands.
  const auto run = [&](auto kernel, int depth_tiles, const Dim3& grid) {
    if (grid.x == 0) return;
    call.left_tiles = left_tiles_that_fit<Tile>(depth_tiles, device);
    launch(config_of<Tile>(grid, call.left_tiles, stream), kernel, call);
  };

  launch_decays(call, stream);
  if (call.has_centers()) {
    launch_states<States::kCenteredKeys, T>(call, stream);
  } else if (call.has_states()) {
    launch_states<States::kKeys, T>(call, stream);
  }
  run(token_terms_kernel<T, Tile>, 1, grid_of(heads, q_tiles, 1));
  run(query_gradient_kernel<T, Tile>, dim_v_tiles, grid_of(heads, q_tiles, dim_tiles));
  if (call.has_states()) launch_states<States::kQueries, T>(call, stream);
  const std::int64_t kv_heads = shape.batch * shape.kv_heads;
  run(key_gradient_kernel<KeyGradientPass, T, Tile>, dim_v_tiles,
      grid_of(kv_heads, k_tiles, dim_tiles));
  run(key_gradient_kernel<ValueGradientPass, T, Tile>, dim_tiles,
      grid_of(kv_heads, k_tiles, dim_v_tiles));
  if (call.has_decay() && args.grad_log_decay.data != nullptr) {
    launch({.grid = grid_of(heads, 1, 1),
            .threads = kDecayThreads,
            .shared_bytes = kDecayThreads / 32 * static_cast<int>(sizeof(double)),
            .stream = stream},
           decay_gradient_kernel<Call<Acc>>, call);
  }
}

}  // namespace
}  // namespace linear

void linear_attention_backward(const LinearAttentionBackwardArgs& args, const KernelPlan& plan,
                               std::span<std::byte> workspace, const DeviceModel& device,
                               Stream stream) {
  linear::check_shape(args.shape, args.options.causal);
  linear::check_call(args.options, plan, workspace);
  if (args.shape.batch * args.shape.heads == 0) return;
  dispatch_dtype(args.shape.dtype, [&](auto type) {
    linear::run_backward<typename decltype(type)::type>(args, workspace, device, stream);
  });
}

}  // namespace attnlab::cuda
