// The matrix products around materialised softmax on CUDA, by the library (at::bmm, cuBLAS), one
// batch item at a time so that how the library cuts them does not depend on the batch. No tf32.
//
// Names as in matrix_products.h. `scores` and `coeff` are contiguous; query rows that are not are
// copied where heads share keys.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace attnlab::ops {

/// scores = query_rows * key_rows^T, head by head. Writes all of `scores`.
void cuda_product_to_scores(const at::Tensor& query_rows, const at::Tensor& key_rows,
                            const at::Tensor& scores);

/// query_rows = coeff * key_rows, head by head; query_rows is contiguous.
void cuda_product_to_query_rows(const at::Tensor& coeff, const at::Tensor& key_rows,
                                const at::Tensor& query_rows);

/// key_rows = sum of coeff^T * query_rows over the heads of each group; key_rows is contiguous.
void cuda_product_to_key_rows(const at::Tensor& coeff, const at::Tensor& query_rows,
                              const at::Tensor& key_rows);

/// Whether no element is NaN or infinite. Waits for the device once.
bool all_finite_on_device(const std::vector<at::Tensor>& tensors);

}  // namespace attnlab::ops
