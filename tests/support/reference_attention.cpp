#include "tests/support/reference_attention.h"

#include <cmath>
#include <limits>

namespace attnlab::testing {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A dense `[batch, heads, seqlen, dim]` array of doubles.
struct Array {
  std::int64_t heads, seqlen, dim;
  std::vector<double> data;

  Array(std::int64_t batch, std::int64_t num_heads, std::int64_t length, std::int64_t width)
      : heads(num_heads),
        seqlen(length),
        dim(width),
        data(static_cast<std::size_t>(batch * num_heads * length * width), 0.0) {}
  double& at(std::int64_t b, std::int64_t h, std::int64_t s, std::int64_t c) {
    return data[static_cast<std::size_t>(((b * heads + h) * seqlen + s) * dim + c)];
  }
};

struct Score {
  double value = -kInfinity;
  double slope = 0.0;  ///< d value / d dot
};

/// Score of one visible pair.
Score pair_score(const AttentionShape& shape, const MaskOptions& mask, const ScoreOptions& score,
                 std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j, double dot) {
  Score result{score.scale * dot, score.scale};
  if (score.softcap != 0.0) {
    const double t = std::tanh(result.value / score.softcap);
    result = {score.softcap * t, score.scale * (1.0 - t * t)};
  }
  if (score.alibi_slopes != nullptr) {
    const double slope =
        score.alibi_slopes[b * score.alibi_batch_stride + h * score.alibi_head_stride];
    const std::int64_t length = mask.seqlens_k != nullptr ? mask.seqlens_k[b] : shape.seqlen_k;
    result.value -= slope * std::abs(static_cast<double>(i + length - shape.seqlen_q - j));
  }
  return result;
}

struct Row {
  std::vector<Score> scores;
  std::vector<double> weights;
  double lse = -kInfinity;
};

Row softmax_row(const AttentionShape& shape, const MaskOptions& mask, const ScoreOptions& score,
                const HostTensor& q, const HostTensor& k, std::int64_t b, std::int64_t h,
                std::int64_t i) {
  const std::int64_t kv = h / (shape.heads / shape.kv_heads);
  const auto length = static_cast<std::size_t>(shape.seqlen_k);
  Row row{std::vector<Score>(length), std::vector<double>(length, 0.0)};
  double largest = -kInfinity;
  for (std::int64_t j = 0; j < shape.seqlen_k; ++j) {
    if (!reference_visible(shape, mask, b, i, j)) continue;
    double dot = 0.0;
    for (std::int64_t c = 0; c < shape.head_dim; ++c) dot += q.get(b, h, i, c) * k.get(b, kv, j, c);
    Score& s = row.scores[static_cast<std::size_t>(j)];
    s = pair_score(shape, mask, score, b, h, i, j, dot);
    if (std::isnan(s.value) || s.value > largest) largest = s.value;
  }
  if (largest == -kInfinity) return row;
  double sum = 0.0;
  for (std::int64_t j = 0; j < shape.seqlen_k; ++j) {
    if (!reference_visible(shape, mask, b, i, j)) continue;
    const auto n = static_cast<std::size_t>(j);
    sum += row.weights[n] = std::exp(row.scores[n].value - largest);
  }
  for (double& w : row.weights) w /= sum;
  row.lse = largest + std::log(sum);
  return row;
}

double feature(FeatureMapKind kind, double x) {
  switch (kind) {
    case FeatureMapKind::kElu: return x > 0.0 ? x + 1.0 : std::exp(x);
    case FeatureMapKind::kRelu: return x < 0.0 ? 0.0 : x;
    case FeatureMapKind::kIdentity: break;
  }
  return x;
}

double feature_slope(FeatureMapKind kind, double x) {
  switch (kind) {
    case FeatureMapKind::kElu: return x > 0.0 ? 1.0 : std::exp(x);
    case FeatureMapKind::kRelu: return x > 0.0 ? 1.0 : 0.0;
    case FeatureMapKind::kIdentity: break;
  }
  return 1.0;
}

double log_decay_at(const LinearOptions& options, std::int64_t b, std::int64_t h, std::int64_t t) {
  if (options.log_decay == nullptr) return 0.0;
  return options.log_decay[b * options.decay_batch_stride + h * options.decay_head_stride +
                           t * options.decay_token_stride];
}

/// Weight of one visible pair of linear attention: phi(q) . phi(k) * product of decays over (j, i].
struct LinearPair {
  double dot = 0.0;
  double gate = 1.0;
};

LinearPair linear_pair(const AttentionShape& shape, const LinearOptions& options,
                       const HostTensor& q, const HostTensor& k, std::int64_t b, std::int64_t h,
                       std::int64_t i, std::int64_t j) {
  const std::int64_t kv = h / (shape.heads / shape.kv_heads);
  LinearPair pair;
  for (std::int64_t c = 0; c < shape.head_dim; ++c) {
    pair.dot += feature(options.feature_map, q.get(b, h, i, c)) *
                feature(options.feature_map, k.get(b, kv, j, c));
  }
  double exponent = 0.0;
  for (std::int64_t t = j + 1; t <= i && options.causal; ++t) {
    exponent += log_decay_at(options, b, h, t);
  }
  pair.gate = std::exp(exponent);
  return pair;
}

/// Pairs of one query and their sum; keys [0, pairs.size()).
struct LinearRow {
  std::vector<LinearPair> pairs;
  double denominator = 0.0;
};

LinearRow linear_row(const AttentionShape& shape, const LinearOptions& options, const HostTensor& q,
                     const HostTensor& k, std::int64_t b, std::int64_t h, std::int64_t i) {
  LinearRow row;
  const std::int64_t end = options.causal ? i + 1 : shape.seqlen_k;
  for (std::int64_t j = 0; j < end; ++j) {
    row.pairs.push_back(linear_pair(shape, options, q, k, b, h, i, j));
    row.denominator += row.pairs.back().dot * row.pairs.back().gate;
  }
  return row;
}

/// function(b, h, i) for every query.
template <class F>
void for_each_query(const AttentionShape& shape, const F& function) {
  for (std::int64_t b = 0; b < shape.batch; ++b) {
    for (std::int64_t h = 0; h < shape.heads; ++h) {
      for (std::int64_t i = 0; i < shape.seqlen_q; ++i) function(b, h, i);
    }
  }
}

}  // namespace

bool reference_visible(const AttentionShape& shape, const MaskOptions& mask, std::int64_t batch_idx,
                       std::int64_t q_idx, std::int64_t k_idx) {
  const std::int64_t length =
      mask.seqlens_k != nullptr ? mask.seqlens_k[batch_idx] : shape.seqlen_k;
  const std::int64_t diagonal = q_idx + length - shape.seqlen_q;
  if (k_idx >= length) return false;
  if (mask.causal && k_idx > diagonal) return false;
  if (!mask.causal && mask.window_right >= 0 && k_idx > diagonal + mask.window_right) return false;
  return mask.window_left < 0 || k_idx >= diagonal - mask.window_left;
}

ReferenceResult reference_attention(const AttentionShape& shape, const MaskOptions& mask,
                                    const ScoreOptions& score, const HostTensor& q,
                                    const HostTensor& k, const HostTensor& v) {
  ReferenceResult result;
  for_each_query(shape, [&](std::int64_t b, std::int64_t h, std::int64_t i) {
    const Row row = softmax_row(shape, mask, score, q, k, b, h, i);
    for (std::int64_t c = 0; c < shape.head_dim_v; ++c) {
      double sum = 0.0;
      for (std::int64_t j = 0; j < shape.seqlen_k; ++j) {
        if (!reference_visible(shape, mask, b, i, j)) continue;
        sum += row.weights[static_cast<std::size_t>(j)] *
               v.get(b, h / (shape.heads / shape.kv_heads), j, c);
      }
      result.out.push_back(sum);
    }
    result.lse.push_back(row.lse);
  });
  return result;
}

ReferenceGradients reference_attention_gradients(const AttentionShape& shape,
                                                 const MaskOptions& mask, const ScoreOptions& score,
                                                 const HostTensor& q, const HostTensor& k,
                                                 const HostTensor& v, const HostTensor& grad_out) {
  Array grad_q(shape.batch, shape.heads, shape.seqlen_q, shape.head_dim);
  Array grad_k(shape.batch, shape.kv_heads, shape.seqlen_k, shape.head_dim);
  Array grad_v(shape.batch, shape.kv_heads, shape.seqlen_k, shape.head_dim_v);
  const std::int64_t group = shape.heads / shape.kv_heads;
  for_each_query(shape, [&](std::int64_t b, std::int64_t h, std::int64_t i) {
    const std::int64_t kv = h / group;
    const Row row = softmax_row(shape, mask, score, q, k, b, h, i);
    std::vector<double> grad_weight(row.weights.size(), 0.0);
    double delta = 0.0;
    for (std::int64_t j = 0; j < shape.seqlen_k; ++j) {
      if (!reference_visible(shape, mask, b, i, j)) continue;
      const auto n = static_cast<std::size_t>(j);
      for (std::int64_t c = 0; c < shape.head_dim_v; ++c) {
        grad_weight[n] += grad_out.get(b, h, i, c) * v.get(b, kv, j, c);
        grad_v.at(b, kv, j, c) += row.weights[n] * grad_out.get(b, h, i, c);
      }
      delta += row.weights[n] * grad_weight[n];
    }
    for (std::int64_t j = 0; j < shape.seqlen_k; ++j) {
      if (!reference_visible(shape, mask, b, i, j)) continue;
      const auto n = static_cast<std::size_t>(j);
      const double grad_dot = row.weights[n] * (grad_weight[n] - delta) * row.scores[n].slope;
      for (std::int64_t c = 0; c < shape.head_dim; ++c) {
        grad_q.at(b, h, i, c) += grad_dot * k.get(b, kv, j, c);
        grad_k.at(b, kv, j, c) += grad_dot * q.get(b, h, i, c);
      }
    }
  });
  return {grad_q.data, grad_k.data, grad_v.data, {}};
}

std::vector<double> reference_linear_attention(const AttentionShape& shape,
                                               const LinearOptions& options, const HostTensor& q,
                                               const HostTensor& k, const HostTensor& v) {
  std::vector<double> out;
  for_each_query(shape, [&](std::int64_t b, std::int64_t h, std::int64_t i) {
    const LinearRow row = linear_row(shape, options, q, k, b, h, i);
    const double denominator = options.normalize ? row.denominator : 1.0;
    for (std::int64_t c = 0; c < shape.head_dim_v; ++c) {
      double sum = 0.0;
      for (std::size_t j = 0; j < row.pairs.size(); ++j) {
        sum += row.pairs[j].dot * row.pairs[j].gate *
               v.get(b, h / (shape.heads / shape.kv_heads), static_cast<std::int64_t>(j), c);
      }
      out.push_back(denominator == 0.0 ? 0.0 : sum / denominator);
    }
  });
  return out;
}

ReferenceGradients reference_linear_gradients(const AttentionShape& shape,
                                              const LinearOptions& options, const HostTensor& q,
                                              const HostTensor& k, const HostTensor& v,
                                              const HostTensor& grad_out) {
  Array grad_q(shape.batch, shape.heads, shape.seqlen_q, shape.head_dim);
  Array grad_k(shape.batch, shape.kv_heads, shape.seqlen_k, shape.head_dim);
  Array grad_v(shape.batch, shape.kv_heads, shape.seqlen_k, shape.head_dim_v);
  Array grad_decay(shape.batch, shape.heads, shape.seqlen_q, 1);
  const FeatureMapKind kind = options.feature_map;
  for_each_query(shape, [&](std::int64_t b, std::int64_t h, std::int64_t i) {
    const std::int64_t kv = h / (shape.heads / shape.kv_heads);
    const LinearRow row = linear_row(shape, options, q, k, b, h, i);
    const double denominator = options.normalize ? row.denominator : 1.0;
    if (denominator == 0.0) return;
    std::vector<double> projected(row.pairs.size(), 0.0);  // dO_i . v_j
    double mean = 0.0;                                     // dO_i . o_i
    for (std::size_t j = 0; j < row.pairs.size(); ++j) {
      for (std::int64_t c = 0; c < shape.head_dim_v; ++c) {
        projected[j] += grad_out.get(b, h, i, c) * v.get(b, kv, static_cast<std::int64_t>(j), c);
      }
      mean += row.pairs[j].dot * row.pairs[j].gate * projected[j] / denominator;
    }
    for (std::size_t n = 0; n < row.pairs.size(); ++n) {
      const auto j = static_cast<std::int64_t>(n);
      const LinearPair& pair = row.pairs[n];
      const double weight_grad =
          (projected[n] - (options.normalize ? mean : 0.0)) / denominator;  // of dot * gate
      for (std::int64_t c = 0; c < shape.head_dim_v; ++c) {
        grad_v.at(b, kv, j, c) += pair.dot * pair.gate / denominator * grad_out.get(b, h, i, c);
      }
      for (std::int64_t c = 0; c < shape.head_dim; ++c) {
        const double x = q.get(b, h, i, c);
        const double y = k.get(b, kv, j, c);
        grad_q.at(b, h, i, c) +=
            weight_grad * pair.gate * feature(kind, y) * feature_slope(kind, x);
        grad_k.at(b, kv, j, c) +=
            weight_grad * pair.gate * feature(kind, x) * feature_slope(kind, y);
      }
      for (std::int64_t t = j + 1; t <= i && options.causal; ++t) {
        grad_decay.at(b, h, t, 0) += weight_grad * pair.dot * pair.gate;
      }
    }
  });
  return {grad_q.data, grad_k.data, grad_v.data, grad_decay.data};
}

}  // namespace attnlab::testing
