#include "variants/full/scores.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tanh.h>

#include <array>
#include <cmath>
#include <utility>

#include "kernels/core/error.h"
#include "variants/api/softmax_reference.h"

namespace attnlab {
namespace {

constexpr std::array<std::pair<Score, const char*>, 6> kNames{{{Score::kScaledDot, "scaled_dot"},
                                                               {Score::kDot, "dot"},
                                                               {Score::kGeneral, "general"},
                                                               {Score::kCosine, "cosine"},
                                                               {Score::kRbf, "rbf"},
                                                               {Score::kAdditive, "additive"}}};
constexpr double kCosineScale = 10;

/// A learned parameter `[heads, ...]` in the dtype of the inputs.
at::Tensor parameter(const Inputs& inputs, const std::string& name) {
  return inputs.extra.at(name).to(inputs.q.scalar_type());
}

/// `x` `[batch, heads, seqlen, head_dim]` times the transposed `weight` `[heads, n, head_dim]`.
at::Tensor project(const at::Tensor& x, const at::Tensor& weight) {
  return at::matmul(x, weight.transpose(-2, -1));
}

at::Tensor unit_vectors(const at::Tensor& x) {
  constexpr double kSmallest = 1e-6;  // a vector of zeros fits no key better than another
  return x / at::linalg_vector_norm(x, 2, {-1}, /*keepdim=*/true).clamp_min(kSmallest);
}

bool is_16_bit(at::ScalarType dtype) { return c10::elementSize(dtype) == 2; }

/// -|k|^2 / 2 as columns `[..., n]` whose sum it is: two for 16-bit types, which hold eight or
/// eleven bits of a number that is head_dim times larger than a score's error may be.
at::Tensor minus_half_squares(const at::Tensor& k) {
  if (!is_16_bit(k.scalar_type())) return (k * k).sum(-1, true) * -0.5;
  const at::Tensor wide = k.to(at::kFloat);
  const at::Tensor exact = (wide * wide).sum(-1, true) * -0.5;
  const at::Tensor high = exact.to(k.scalar_type());
  const at::Tensor low = (exact - high.to(at::kFloat)).to(k.scalar_type());
  return at::cat({high, low}, -1);
}

}  // namespace

std::vector<std::string> score_names() {
  std::vector<std::string> names;
  for (const auto& [score, name] : kNames) names.emplace_back(name);
  return names;
}

Score parse_score(const std::string& name) {
  for (const auto& [score, known] : kNames) {
    if (name == known) return score;
  }
  throw ConfigError("[variant full] there is no score '" + name + "'.");
}

std::vector<LearnedParameter> score_parameters(Score score) {
  const std::string square = "[heads, head_dim, head_dim]";
  if (score == Score::kGeneral) return {{"score_weight", square, "W of q^T W k"}};
  if (score != Score::kAdditive) return {};
  return {{"score_query", square, "W_q of w . tanh(W_q q + W_k k)"},
          {"score_key", square, "W_k of w . tanh(W_q q + W_k k)"},
          {"score_vector", "[heads, head_dim]", "w of w . tanh(W_q q + W_k k)"}};
}

double default_scale(Score score, std::int64_t head_dim) {
  switch (score) {
    case Score::kDot:
    case Score::kAdditive: return 1;
    case Score::kCosine: return kCosineScale;
    case Score::kScaledDot:
    case Score::kGeneral:
    case Score::kRbf: break;
  }
  return 1 / std::sqrt(static_cast<double>(head_dim));
}

at::Tensor score_formula(Score score, const Inputs& inputs, const at::Tensor& query_rows) {
  const at::Tensor q = select_rows(inputs.q, query_rows);
  const at::Tensor k = repeat_kv_heads(inputs.k, inputs.q.size(1));
  const double scale = inputs.scale.value_or(default_scale(score, q.size(3)));
  const auto products = [&](const at::Tensor& left) {
    return at::matmul(left, k.transpose(-2, -1));
  };
  switch (score) {
    case Score::kGeneral: return scale * products(at::matmul(q, parameter(inputs, "score_weight")));
    case Score::kCosine: {
      const at::Tensor norms =
          at::matmul(at::linalg_vector_norm(q, 2, {-1}, true),
                     at::linalg_vector_norm(k, 2, {-1}, true).transpose(-2, -1));
      return scale * products(q) / norms.clamp_min(1e-12);
    }
    case Score::kRbf: {
      const at::Tensor squares = (q * q).sum(-1, true) + (k * k).sum(-1).unsqueeze(-2);
      return (scale * -0.5) * (squares - 2 * products(q));
    }
    case Score::kAdditive: {
      const at::Tensor of_q = project(q, parameter(inputs, "score_query")).unsqueeze(3);
      const at::Tensor of_k = project(k, parameter(inputs, "score_key")).unsqueeze(2);
      const at::Tensor w = parameter(inputs, "score_vector");  // [heads, head_dim]
      const at::Tensor column = w.view({1, w.size(0), 1, w.size(1), 1});
      return scale * at::matmul(at::tanh(of_q + of_k), column).squeeze(-1);
    }
    case Score::kScaledDot:
    case Score::kDot: break;
  }
  return scale * products(q);
}

DotForm dot_form(Score score, const Inputs& inputs) {
  switch (score) {
    case Score::kGeneral:
      return {at::matmul(inputs.q, parameter(inputs, "score_weight")), inputs.k};
    case Score::kCosine: return {unit_vectors(inputs.q), unit_vectors(inputs.k)};
    case Score::kRbf: {
      // -|q - k|^2 / 2 = q . k - |k|^2 / 2 - |q|^2 / 2; the last term is the same for all keys.
      const at::Tensor squares = minus_half_squares(inputs.k);
      const at::Tensor ones = at::ones_like(inputs.q.narrow(-1, 0, 1));
      std::vector<at::Tensor> q = {inputs.q};
      q.insert(q.end(), static_cast<std::size_t>(squares.size(-1)), ones);
      return {at::cat(q, -1), at::cat({inputs.k, squares}, -1)};
    }
    case Score::kScaledDot:
    case Score::kDot:
    case Score::kAdditive: break;
  }
  return {inputs.q, inputs.k};
}

std::int64_t dot_form_head_dim(Score score, const Problem& problem) {
  if (score != Score::kRbf) return problem.head_dim;
  return problem.head_dim + (is_16_bit(problem.dtype) ? 2 : 1);
}

}  // namespace attnlab
