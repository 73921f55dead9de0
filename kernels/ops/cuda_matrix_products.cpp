#include "kernels/ops/cuda_matrix_products.h"

#include <ATen/Context.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include <cmath>
#include <limits>

namespace attnlab::ops {
namespace {

/// `[heads, rows, n]` as `[kv_heads, group * rows, n]`: the heads of a group follow each other, so
/// that one product serves all that share a key head.
at::Tensor by_key_head(const at::Tensor& rows, std::int64_t kv_heads) {
  const std::int64_t group = rows.size(0) / kv_heads;
  return rows.reshape({kv_heads, group * rows.size(1), rows.size(2)});
}

}  // namespace

void cuda_product_to_scores(const at::Tensor& query_rows, const at::Tensor& key_rows,
                            const at::Tensor& scores) {
  const at::NoTF32Guard no_tf32;
  for (std::int64_t b = 0; b < scores.size(0); ++b) {
    const at::Tensor keys = key_rows.select(0, b);
    at::Tensor out = by_key_head(scores.select(0, b), keys.size(0));
    at::bmm_out(out, by_key_head(query_rows.select(0, b), keys.size(0)), keys.transpose(1, 2));
  }
}

void cuda_product_to_query_rows(const at::Tensor& coeff, const at::Tensor& key_rows,
                                const at::Tensor& query_rows) {
  const at::NoTF32Guard no_tf32;
  for (std::int64_t b = 0; b < coeff.size(0); ++b) {
    const at::Tensor keys = key_rows.select(0, b);
    at::Tensor out = by_key_head(query_rows.select(0, b), keys.size(0));
    at::bmm_out(out, by_key_head(coeff.select(0, b), keys.size(0)), keys);
  }
}

void cuda_product_to_key_rows(const at::Tensor& coeff, const at::Tensor& query_rows,
                              const at::Tensor& key_rows) {
  const at::NoTF32Guard no_tf32;
  const std::int64_t kv_heads = key_rows.size(1);
  for (std::int64_t b = 0; b < coeff.size(0); ++b) {
    at::Tensor out = key_rows.select(0, b);
    at::bmm_out(out, by_key_head(coeff.select(0, b), kv_heads).transpose(1, 2),
                by_key_head(query_rows.select(0, b), kv_heads));
  }
}

// The largest absolute value is finite only if all are: NaN and Inf pass through the maximum.
bool all_finite_on_device(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> largest;
  for (const at::Tensor& t : tensors) {
    largest.push_back(
        at::linalg_vector_norm(t, std::numeric_limits<double>::infinity()).to(at::kDouble));
  }
  const at::Tensor values = at::stack(largest).cpu();
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    if (!std::isfinite(values.const_data_ptr<double>()[i])) return false;
  }
  return true;
}

}  // namespace attnlab::ops
