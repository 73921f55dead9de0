#include "experiments/bench/torch_peers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/elu.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tril.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/core.h>

#include <cmath>
#include <vector>

#include "kernels/core/error.h"

namespace attnlab::bench {
namespace {

at::Tensor features(const at::Tensor& x) { return at::elu(x) + 1; }

void check_chunk(const at::Tensor& q, std::int64_t chunk) {
  if (chunk >= 1 && q.size(2) % chunk == 0) return;
  throw ConfigError(
      fmt::format("[bench] chunks of {} do not divide {} tokens; use a length that they divide",
                  chunk, q.size(2)));
}

/// Sums of the chunks before each chunk, along dimension 1.
at::Tensor sums_before(const at::Tensor& per_chunk) {
  const std::int64_t last = per_chunk.size(1) - 1;
  return at::cat(
      {at::zeros_like(per_chunk.narrow(1, 0, 1)), per_chunk.narrow(1, 0, last).cumsum(1)}, 1);
}

}  // namespace

at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  return at::matmul(at::softmax(at::matmul(q * scale, k.transpose(2, 3)), -1), v);
}

at::Tensor window_mask(std::int64_t n, std::int64_t window) {
  const at::Tensor keys = at::arange(n);
  const at::Tensor distance = keys.unsqueeze(1) - keys;
  return distance.ge(0).logical_and(distance.lt(window));
}

at::Tensor grouped_rows_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const std::int64_t group = q.size(1) / k.size(1);
  const at::Tensor rows = q.reshape({q.size(0), k.size(1), group, q.size(3)});
  return at::scaled_dot_product_attention(rows, k, v).reshape({q.size(0), q.size(1), 1, v.size(3)});
}

at::Tensor linear_looped(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         std::int64_t chunk) {
  check_chunk(q, chunk);
  const std::int64_t heads = q.size(0) * q.size(1), n = q.size(2), d = q.size(3), dv = v.size(3);
  const auto queries = features(q).reshape({heads, n, d}).split(chunk, 1);
  const auto keys = features(k).reshape({heads, n, d}).split(chunk, 1);
  const auto values = v.reshape({heads, n, dv}).split(chunk, 1);
  at::Tensor state = at::zeros({heads, d, dv}, v.options());
  at::Tensor key_sum = at::zeros({heads, d, 1}, v.options());
  std::vector<at::Tensor> out;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const at::Tensor keys_t = keys[i].transpose(1, 2);
    const at::Tensor pairs = at::tril(at::bmm(queries[i], keys_t));
    const at::Tensor sums = at::baddbmm(at::bmm(queries[i], state), pairs, values[i]);
    out.push_back(sums / (at::bmm(queries[i], key_sum) + pairs.sum(2, true)));
    state = at::baddbmm(state, keys_t, values[i]);
    key_sum = key_sum + keys_t.sum(2, true);
  }
  return at::cat(out, 1).reshape(v.sizes());
}

at::Tensor linear_batched(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          std::int64_t chunk) {
  check_chunk(q, chunk);
  const std::int64_t heads = q.size(0) * q.size(1), chunks = q.size(2) / chunk;
  const std::int64_t d = q.size(3), dv = v.size(3);
  const at::Tensor queries = features(q).reshape({heads * chunks, chunk, d});
  const at::Tensor keys = features(k).reshape({heads * chunks, chunk, d});
  const at::Tensor values = v.reshape({heads * chunks, chunk, dv});
  const at::Tensor keys_t = keys.transpose(1, 2);
  const at::Tensor states = sums_before(at::bmm(keys_t, values).reshape({heads, chunks, d, dv}));
  const at::Tensor key_sums = sums_before(keys.sum(1).reshape({heads, chunks, d}));
  const at::Tensor pairs = at::tril(at::bmm(queries, keys_t));
  const at::Tensor sums =
      at::baddbmm(at::bmm(queries, states.reshape({heads * chunks, d, dv})), pairs, values);
  const at::Tensor weights =
      at::bmm(queries, key_sums.reshape({heads * chunks, d, 1})) + pairs.sum(2, true);
  return (sums / weights).reshape(v.sizes());
}

}  // namespace attnlab::bench
