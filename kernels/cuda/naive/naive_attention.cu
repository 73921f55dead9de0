#include <limits>
#include <string>

#include "kernels/core/error.h"
#include "kernels/cuda/naive/naive_attention.h"
#include "kernels/cuda/naive/naive_rows.cuh"

namespace attnlab::cuda {
namespace {

/// One block per row of `[batch, heads, length]`.
LaunchConfig row_config(std::int64_t batch, std::int64_t heads, std::int64_t length,
                        int shared_bytes, Stream stream) {
  const std::int64_t rows = batch * heads * length;
  if (rows > std::numeric_limits<std::int32_t>::max()) {
    throw UnsupportedError("[naive_attention] " + std::to_string(rows) +
                           " rows are more than a launch has blocks; split the batch");
  }
  return {{static_cast<int>(rows)}, kRowThreads, shared_bytes, stream};
}

}  // namespace

void softmax_rows(const AttentionShape& shape, const MaskOptions& mask, const ScoreOptions& score,
                  const TensorView& scores, Stream stream) {
  const LaunchConfig config =
      row_config(shape.batch, shape.heads, shape.seqlen_q, kBlockReduceBytes, stream);
  if (config.grid.x == 0) return;
  dispatch_dtype(shape.dtype, [&](auto type) {
    dispatch_score(score, [&](auto policy) {
      launch(config,
             softmax_rows_kernel<typename decltype(type)::type, typename decltype(policy)::type>,
             NaiveArgs{shape, mask, score, scores, {}, {}});
    });
  });
}

void softmax_rows_backward(const AttentionShape& shape, const MaskOptions& mask,
                           const ScoreOptions& score, const TensorView& weights,
                           const TensorView& dots, const TensorView& grad_weights, Stream stream) {
  const LaunchConfig config =
      row_config(shape.batch, shape.heads, shape.seqlen_q, kBlockReduceBytes, stream);
  if (config.grid.x == 0) return;
  dispatch_dtype(shape.dtype, [&](auto type) {
    dispatch_score(score, [&](auto policy) {
      launch(config,
             softmax_rows_backward_kernel<typename decltype(type)::type,
                                          typename decltype(policy)::type>,
             NaiveArgs{shape, mask, score, grad_weights, weights, dots});
    });
  });
}

void masked_weighted_sum(const AttentionShape& shape, const MaskOptions& mask,
                         const TensorView& coeff, const TensorView& rows, const TensorView& out,
                         Stream stream) {
  const LaunchConfig config = row_config(shape.batch, shape.heads, shape.seqlen_q, 0, stream);
  if (config.grid.x == 0) return;
  dispatch_dtype(shape.dtype, [&](auto type) {
    launch(config, masked_sum_kernel<typename decltype(type)::type>,
           SumArgs{shape, mask, coeff, rows, out});
  });
}

void masked_weighted_sum_transposed(const AttentionShape& shape, const MaskOptions& mask,
                                    const TensorView& coeff, const TensorView& rows,
                                    const TensorView& out, Stream stream) {
  const LaunchConfig config = row_config(shape.batch, shape.kv_heads, shape.seqlen_k, 0, stream);
  if (config.grid.x == 0) return;
  dispatch_dtype(shape.dtype, [&](auto type) {
    launch(config, masked_sum_transposed_kernel<typename decltype(type)::type>,
           SumArgs{shape, mask, coeff, rows, out});
  });
}

}  // namespace attnlab::cuda
