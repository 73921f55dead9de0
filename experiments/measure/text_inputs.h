// q, k and v with the structure of language, made from the bytes of a real text without a trained
// model: attention that is neither uniform nor one-hot, and that differs from head to head.
//
// 1. Text. L = max(seqlen_q, seqlen_k) successive bytes of the book for each batch item; the items
//    follow each other without overlap from a place that the seed chooses. Nothing is repeated. The
//    queries are the last seqlen_q positions, the keys the last seqlen_k (bottom-right alignment).
// 2. Content of a position: sum over lags j = 0 .. 5 of 0.8^j times a random embedding (64 numbers)
//    of the byte j places before, one table per lag; then layer norm. Positions with the same
//    recent letters are alike. Bytes before the book's beginning contribute nothing.
// 3. Place of a position: 32 sines and cosines of its index, wavelengths from 2 pi to 20000 pi in
//    geometric steps (Vaswani et al. 2017, 1706.03762, section 3.5); then layer norm. Near
//    positions are alike.
// 4. Keys: x = [content, place] times a random matrix W_k of the key head, scaled to unit variance.
//    Values: x times an independent matrix.
// 5. Queries: x' = [a content, b place] times W_q = 0.9 W_k + 0.436 (independent): the product of
//    query and key is large where text or place agree. Over the heads, the share b^2 of the place
//    goes evenly from 0.1 to 0.9 (one head: 0.5). The query's norm is set so that the score of a
//    position with itself is `gain` on average over random matrices, whatever head_dim is, for the
//    default scale 1/sqrt(head_dim).
//
// At gain 9, 1024 positions and 4 heads, the effective number of keys (exp of the mean entropy of a
// head's rows) is 34 to 102, causal 11 to 32, for head_dim 32, 64 and 128.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "variants/api/options.h"
#include "variants/api/problem.h"

namespace attnlab::measure {

/// float32 on the CPU; shapes as in inputs.h.
struct TextTensors {
  at::Tensor q, k, v;
};

/// `gain`: see above.
std::vector<OptionSpec> text_specs();

/// Throws ConfigError where the book is shorter than batch * L, naming the longest L, and where the
/// book's file is missing.
TextTensors make_text(const Problem& problem, const Options& options, std::uint64_t seed);

}  // namespace attnlab::measure
