// How a model knows where a token stands.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace attnlab {

enum class Positions : std::uint8_t {
  kNone,        ///< nothing but the causal mask
  kLearned,     ///< a vector for each position up to the training length, added to
                ///< the embeddings
  kSinusoidal,  ///< Vaswani et al. 2017 (arXiv 1706.03762), section 3.5, added
                ///< to the embeddings
  kRotary,      ///< RoPE, Su et al. 2021 (arXiv 2104.09864): queries and keys are
                ///< turned
  kAlibi,       ///< Press et al. 2022 (arXiv 2108.12409): the score falls with the distance
};

/// "none", "learned", "sinusoidal", "rotary", "alibi".
const char *positions_name(Positions positions);
/// Throws ConfigError naming the nearest.
Positions parse_positions(const std::string &name);

/// `[seqlen, dim]`: sin(p / 10000^(2i/dim)) at 2i, cos at 2i + 1. `dim` is
/// even.
at::Tensor sinusoidal_table(std::int64_t seqlen, std::int64_t dim,
                            const at::TensorOptions &options);

/// `x` `[batch, heads, seqlen, head_dim]` with the pair (i, i + head_dim / 2)
/// of position p turned by p / base^(2i / head_dim). The product of a query and
/// a key turned so depends on the difference of their positions only.
/// `head_dim` is even. Differentiable.
at::Tensor rotate_positions(const at::Tensor &x, double base = 10000.0);

/// `[heads]` float32: 2^(-8 i / heads) for i = 1 to heads, the paper's geometric sequence, also
/// where heads is no power of two.
at::Tensor alibi_head_slopes(std::int64_t heads);

}  // namespace attnlab
