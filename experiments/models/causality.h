// Whether a model looks ahead: a later token is changed, and no logit before it may change in any
// bit. It finds what a mask hides from the eye, off by one, or only at the edge of a chunk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/models/transformer.h"

namespace attnlab {

struct CausalityLeak {
  std::int64_t changed;  ///< position of the token that was changed
  std::int64_t first;    ///< first position before it whose logits changed
  double size;           ///< largest absolute difference of a logit before it; NaN where one is NaN
};

struct CausalityReport {
  std::vector<std::int64_t> positions;  ///< whose tokens were changed, ascending
  std::vector<CausalityLeak> leaks;
  /// Positions whose token changed no logit at all: there the check saw nothing.
  std::vector<std::int64_t> without_effect;

  /// Something was changed, every change was seen somewhere, and none before its position.
  bool passed() const { return !positions.empty() && leaks.empty() && without_effect.empty(); }
  /// One line: "causal: 8 tokens changed, no logit before them", or the first leak.
  std::string to_string() const;
};

/// `count` positions of 1 to seqlen - 1, ascending, the first and the last among them where count
/// is 2 or more; all where there are no more. The same seed gives the same ones.
std::vector<std::int64_t> causality_positions(std::int64_t seqlen, std::int64_t count,
                                              std::uint64_t seed);

/// `ids`: int64 `[batch, seqlen]`. One forward pass for each position, without gradients and in
/// evaluation mode; the model is left in the mode it was in. Throws ConfigError where a position is
/// not in 1 .. seqlen - 1, or the model knows one token only.
CausalityReport check_causality(SequenceModel &model, const at::Tensor &ids,
                                const std::vector<std::int64_t> &positions);

/// Same, with causality_positions of the sequence.
CausalityReport check_causality(SequenceModel &model, const at::Tensor &ids, std::int64_t count,
                                std::uint64_t seed);

}  // namespace attnlab
