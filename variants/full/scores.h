// Score functions: how well a query fits a key, before the softmax. Each is scale times
//   scaled_dot  q . k, scale 1 / sqrt(head_dim)    Vaswani et al. 2017, arXiv 1706.03762, equation
//   1 dot         q . k, scale 1                     Luong et al. 2015, arXiv 1508.04025,
//   section 3.1 general     q^T W k, scale 1 / sqrt(head_dim)  the same; the paper has no scale, W
//   takes it in cosine      q . k / (|q| |k|), scale 10        Graves et al. 2014, arXiv 1410.5401,
//   section 3.3.1 rbf         -|q - k|^2 / 2, scale 1 / sqrt(head_dim): a Gaussian kernel of
//   variance 1 / scale,
//               Tsai et al. 2019, arXiv 1908.11775
//   additive    w . tanh(W_q q + W_k k), scale 1   Bahdanau et al. 2014, arXiv 1409.0473, appendix
// A scale that is given replaces the default.
#pragma once

#include <string>
#include <vector>

#include "variants/api/variant.h"

namespace attnlab {

enum class Score : std::uint8_t { kScaledDot, kDot, kGeneral, kCosine, kRbf, kAdditive };

/// "scaled_dot", "dot", "general", "cosine", "rbf", "additive".
std::vector<std::string> score_names();
Score parse_score(const std::string& name);

/// What a score learns: general's W, additive's W_q, W_k and w, for each head.
std::vector<LearnedParameter> score_parameters(Score score);

double default_scale(Score score, std::int64_t head_dim);

/// scale times the score of every pair, `[batch, heads, rows, seqlen_k]` in the inputs' dtype:
/// the formula in plain Torch operations. `query_rows` as in Variant::reference.
at::Tensor score_formula(Score score, const Inputs& inputs, const at::Tensor& query_rows);

/// Queries and keys whose dot products are the scores, but for a term that is the same for all keys
/// of a query, which the softmax does not see. Differentiable. Not for additive.
struct DotForm {
  at::Tensor q, k;
};
DotForm dot_form(Score score, const Inputs& inputs);

/// head_dim of the dot form.
std::int64_t dot_form_head_dim(Score score, const Problem& problem);

}  // namespace attnlab
