#include "kernels/ops/matrix_products.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <functional>

#include "kernels/ops/torch_parallel.h"

namespace attnlab::ops {
namespace {

// Rows of the output that one task makes: enough work for the library to reach its speed, few
// enough that a short batch feeds many threads.
constexpr std::int64_t kRowsPerTask = 256;

/// Calls task(batch_idx, head_idx, first row, number of rows) for each block of rows.
void for_each_block(
    std::int64_t batch, std::int64_t heads, std::int64_t rows,
    const std::function<void(std::int64_t, std::int64_t, std::int64_t, std::int64_t)>& task) {
  const std::int64_t blocks = (rows + kRowsPerTask - 1) / kRowsPerTask;
  for_each_task(batch * heads * blocks, [&](std::int64_t i) {
    const std::int64_t begin = i % blocks * kRowsPerTask;
    const std::int64_t head = i / blocks % heads;
    task(i / blocks / heads, head, begin, std::min(kRowsPerTask, rows - begin));
  });
}

/// The matrix `[seqlen, n]` of one head.
at::Tensor matrix(const at::Tensor& t, std::int64_t batch_idx, std::int64_t head_idx) {
  return t.select(0, batch_idx).select(0, head_idx);
}

}  // namespace

void product_to_scores(const at::Tensor& query_rows, const at::Tensor& key_rows,
                       const at::Tensor& scores) {
  const std::int64_t group = scores.size(1) / key_rows.size(1);
  for_each_block(scores.size(0), scores.size(1), scores.size(2),
                 [&](std::int64_t b, std::int64_t h, std::int64_t begin, std::int64_t rows) {
                   at::Tensor block = matrix(scores, b, h).narrow(0, begin, rows);
                   at::mm_out(block, matrix(query_rows, b, h).narrow(0, begin, rows),
                              matrix(key_rows, b, h / group).t());
                 });
}

void product_to_query_rows(const at::Tensor& coeff, const at::Tensor& key_rows,
                           const at::Tensor& query_rows) {
  const std::int64_t group = coeff.size(1) / key_rows.size(1);
  for_each_block(coeff.size(0), coeff.size(1), coeff.size(2),
                 [&](std::int64_t b, std::int64_t h, std::int64_t begin, std::int64_t rows) {
                   at::Tensor block = matrix(query_rows, b, h).narrow(0, begin, rows);
                   at::mm_out(block, matrix(coeff, b, h).narrow(0, begin, rows),
                              matrix(key_rows, b, h / group));
                 });
}

void product_to_key_rows(const at::Tensor& coeff, const at::Tensor& query_rows,
                         const at::Tensor& key_rows) {
  const std::int64_t kv_heads = key_rows.size(1);
  const std::int64_t group = coeff.size(1) / kv_heads;
  for_each_block(coeff.size(0), kv_heads, coeff.size(3),
                 [&](std::int64_t b, std::int64_t g, std::int64_t begin, std::int64_t rows) {
                   at::Tensor block = matrix(key_rows, b, g).narrow(0, begin, rows);
                   for (std::int64_t h = g * group; h < (g + 1) * group; ++h) {
                     const at::Tensor left = matrix(coeff, b, h).narrow(1, begin, rows).t();
                     if (h == g * group) {
                       at::mm_out(block, left, matrix(query_rows, b, h));
                     } else {
                       at::addmm_out(block, block, left, matrix(query_rows, b, h));
                     }
                   }
                 });
}

}  // namespace attnlab::ops
