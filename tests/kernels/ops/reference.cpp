#include "tests/kernels/ops/reference.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <limits>
#include <sstream>

namespace attnlab::testing {
namespace {

using at::Tensor;

Tensor repeat_heads(const Tensor& t, std::int64_t heads) {
  return t.repeat_interleave(heads / t.size(1), 1);
}

/// Position of each key relative to the diagonal of each query, `[batch or 1, 1, seqlen_q,
/// seqlen_k]`.
Tensor distances(std::int64_t seqlen_q, std::int64_t seqlen_k, const Tensor& lengths) {
  const Tensor q_idx = at::arange(seqlen_q, at::kLong).view({1, 1, -1, 1});
  const Tensor k_idx = at::arange(seqlen_k, at::kLong).view({1, 1, 1, -1});
  return k_idx - (q_idx + lengths.view({-1, 1, 1, 1}) - seqlen_q);
}

}  // namespace

Reference reference_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                              const ops::AttentionOptions& o,
                              const std::optional<Tensor>& seqlens) {
  const Tensor lengths = seqlens ? *seqlens : at::full({1}, k.size(2), at::kLong);
  const Tensor distance = distances(q.size(2), k.size(2), lengths);
  const Tensor k_idx = at::arange(k.size(2), at::kLong).view({1, 1, 1, -1});
  Tensor keep = k_idx < lengths.view({-1, 1, 1, 1});
  const std::int64_t right = o.causal ? 0 : o.window_right;
  keep = keep.expand(distance.sizes());
  if (right >= 0) keep = keep & (distance <= right);
  if (o.window_left >= 0) keep = keep & (-distance <= o.window_left);

  const double scale = o.scale.value_or(1.0 / std::sqrt(static_cast<double>(q.size(3))));
  Tensor score = at::matmul(q, repeat_heads(k, q.size(1)).transpose(-1, -2)) * scale;
  if (o.softcap != 0) score = o.softcap * at::tanh(score / o.softcap);
  if (o.alibi_slopes) {
    const Tensor slopes =
        o.alibi_slopes->to(q.scalar_type()).view({-1, o.alibi_slopes->size(-1), 1, 1});
    score = score - slopes * distance.abs().to(q.scalar_type());
  }
  score = score.masked_fill(~keep, -std::numeric_limits<double>::infinity());
  // Softmax by hand: a row without keys is 0 with gradient 0, which at::softmax does not give.
  Tensor row_max = std::get<0>(score.detach().max(-1, true));
  row_max = row_max.masked_fill(row_max.isinf(), 0);
  const Tensor e = at::exp(score - row_max);
  const Tensor sum = e.sum(-1, true);
  const Tensor weights = e / sum.masked_fill(sum == 0, 1);
  const Tensor out = at::matmul(weights, repeat_heads(v, q.size(1)));
  return {out, weights, (at::log(sum) + row_max).squeeze(-1).detach()};
}

Tensor reference_linear_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const ops::LinearAttentionOptions& o) {
  const auto feature = [&](const Tensor& x) {
    if (o.feature_map == "elu") return at::elu(x) + 1;
    if (o.feature_map == "relu") return at::relu(x);
    return x;
  };
  Tensor a = at::matmul(feature(q), feature(repeat_heads(k, q.size(1))).transpose(-1, -2));
  if (o.log_decay) {
    Tensor decay = o.log_decay->to(q.scalar_type());
    if (decay.dim() == 2) decay = decay.unsqueeze(-1).expand({-1, -1, q.size(2)});
    const Tensor sums = decay.cumsum(-1);
    a = a * at::exp((sums.unsqueeze(-1) - sums.unsqueeze(-2)).tril());
  }
  if (o.causal) a = a.tril();
  Tensor out = at::matmul(a, repeat_heads(v, q.size(1)));
  if (!o.normalize) return out;
  const Tensor denominator = a.sum(-1, true);
  return at::where(denominator == 0, at::zeros_like(out),
                   out / denominator.masked_fill(denominator == 0, 1));
}

Tensors Tensors::to(at::ScalarType dtype) const { return {q.to(dtype), k.to(dtype), v.to(dtype)}; }

Tensors Tensors::leaves() const {
  return {q.detach().clone().requires_grad_(), k.detach().clone().requires_grad_(),
          v.detach().clone().requires_grad_()};
}

Tensor random_tensor(at::IntArrayRef sizes, at::ScalarType dtype, std::uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  return at::randn(sizes, generator, at::kDouble).to(dtype);
}

Tensors random_tensors(const Case& c, at::ScalarType dtype, std::uint64_t seed) {
  return {random_tensor({c.batch, c.heads, c.seqlen_q, c.head_dim}, dtype, 3 * seed + 1),
          random_tensor({c.batch, c.kv_heads, c.seqlen_k, c.head_dim}, dtype, 3 * seed + 2),
          random_tensor({c.batch, c.kv_heads, c.seqlen_k, c.head_dim_v}, dtype, 3 * seed + 3)};
}

double tolerance(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble: return 1e-12;
    case at::kFloat: return 2e-5;
    case at::kHalf: return 8 * std::ldexp(1.0, -11);
    default: return 8 * std::ldexp(1.0, -8);
  }
}

::testing::AssertionResult close(const Tensor& actual, const Tensor& expected, double tolerance) {
  if (actual.sizes() != expected.sizes()) {
    return ::testing::AssertionFailure()
           << "shape " << actual.sizes() << ", expected " << expected.sizes();
  }
  const Tensor a = actual.detach().to(at::kDouble).contiguous();
  const Tensor e = expected.detach().to(at::kDouble).contiguous();
  const double* pa = a.const_data_ptr<double>();
  const double* pe = e.const_data_ptr<double>();
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const bool same_infinity = std::isinf(pe[i]) && pa[i] == pe[i];
    const double error = std::abs(pa[i] - pe[i]) / std::max(1.0, std::abs(pe[i]));
    if (same_infinity || error <= tolerance) continue;
    return ::testing::AssertionFailure()
           << "element " << i << " of shape " << actual.sizes() << " is " << pa[i] << ", expected "
           << pe[i] << " (tolerance " << tolerance << ")";
  }
  return ::testing::AssertionSuccess();
}

}  // namespace attnlab::testing
